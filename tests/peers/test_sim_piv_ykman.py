"""Stock `ykman piv` on virtual tokens: a table of commands and what they must say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.piv_peers import MANAGEMENT_KEY, PIN, PUK, SERIAL, Case, Peers
from tokenprov.sim.bench import VirtualBench

ACCESS = [
    Case(
        command="ykman piv info", says=r"PIN tries remaining: +3/3[\s\S]*AES192[\s\S]*default PIN"
    ),
    Case(command="ykman piv access change-pin -P {pin} -n 7531864", says="New PIN set"),
    Case(
        command="ykman piv access change-pin -P {pin} -n 999999",
        says="2 tries left",
        code=1,
    ),
    Case(command="ykman piv access change-puk -p {puk} -n 86427531", says="New PUK set"),
    Case(command="ykman piv access unblock-pin -p 86427531 -n 1357924", says="New PIN set"),
    Case(
        command="ykman piv access set-retries 5 7 -m {key} -P 1357924 -f",
        says="Number of PIN/PUK retries set",
    ),
    Case(command="ykman piv info", says=r"PIN tries remaining: +5/5\nPUK tries remaining: +7/7"),
    Case(
        command="ykman piv access change-management-key -m {key} -a AES256 -n {new} -f",
        says="New management key set",
    ),
    Case(
        command="ykman piv info", says=r"Management key algorithm: AES256(?![\s\S]*default Manag)"
    ),
    Case(
        command="ykman piv access change-management-key -m {key} -n {key} -f",
        says="(Authentication|management key)",
        code=1,
    ),
    Case(
        command="ykman piv access change-management-key -m {new} -a TDES --protect -P {pin} -f",
        says="New management key set",
    ),
    Case(command="ykman piv info", says=r"TDES[\s\S]*protected by PIN"),
    Case(command="ykman piv reset -f", says="PIV data has been cleared"),
    Case(command="ykman piv info", says=r"3/3[\s\S]*AES192[\s\S]*default Management key"),
]

KEYS = [
    Case(command="ykman piv keys generate -a ECCP256 9a 9a.pem -m {key} -P {pin}"),
    Case(command="ykman piv keys info 9a", says=r"ECCP256[\s\S]*GENERATED[\s\S]*ONCE[\s\S]*NEVER"),
    Case(command="ykman piv certificates generate -s CN=ann 9a 9a.pem -m {key} -P {pin}"),
    Case(command="ykman piv keys export --verify -P {pin} 9a again.pem"),
    Case(command="ykman piv keys generate -a ED25519 82 82.pem -m {key} -P {pin}"),
    Case(command="ykman piv certificates request -s CN=ed -P {pin} 82 82.pem 82.csr"),
    Case(command="openssl req -in 82.csr -noout -verify", says="verify OK"),
    Case(command="ykman piv keys import 9c own.key -m {key} -P {pin}"),
    Case(command="ykman piv keys info 9c", says=r"RSA2048[\s\S]*IMPORTED[\s\S]*ALWAYS"),
    Case(command="ykman piv keys attest 9c none.pem", says="(?i)(fail|error)", code=1),
    Case(command="ykman piv certificates import --verify -P {pin} -m {key} 9c own.pem"),
    Case(command="ykman piv keys move 9c 95 -m {key} -P {pin}", says="moved"),
    Case(command="ykman piv keys info 9c", says="No key stored", code=1),
    Case(command="ykman piv keys delete 95 -m {key} -P {pin}", says="deleted"),
    Case(command="ykman piv certificates delete 9c -m {key} -P {pin}"),
    Case(command="ykman piv certificates export 9c none.pem", says="No certificate", code=1),
]

OBJECTS = [
    Case(command="ykman piv objects generate CHUID -m {key} -P {pin}", says="Object generated"),
    Case(command="ykman piv objects generate CCC -m {key} -P {pin}", says="Object generated"),
    Case(command="ykman piv objects import 0x5f0001 data.bin -m {key} -P {pin}"),
    Case(command="ykman piv objects export 0x5f0001 back.bin"),
    Case(command="cmp data.bin back.bin"),
    Case(command="ykman piv objects import PRINTED data.bin -m {key} -P {pin}"),
    Case(command="ykman piv objects export PRINTED back.bin -P {pin}"),
    Case(command="ykman piv info", says=r"CHUID: 3019[\s\S]*CCC: +f015"),
]

ATTESTATION = [
    Case(command="ykman piv keys generate -a RSA2048 9d 9d.pem -m {key} -P {pin}"),
    Case(command="ykman piv keys attest 9d statement.pem"),
    Case(command="ykman piv certificates export f9 f9.pem"),
    Case(command="openssl x509 -in statement.pem -noout -pubkey -out attested.pem"),
]


@pytest.fixture(scope="module")
def one() -> Iterator[VirtualBench]:
    """A private pcscd with one reader."""
    with VirtualBench(tokens=1) as bench:
        yield bench


@pytest.fixture
def peers(one: VirtualBench, tmp_path: Path) -> Peers:
    """One fresh YubiKey of firmware 5.7.4."""
    one.control.replace(0, model="yubikey-5.7.4", serial=SERIAL)
    return Peers(bench=one, folder=tmp_path)


def test_access(peers: Peers) -> None:
    """PIN, PUK, retries, management key and reset, as `ykman piv access` does them."""
    peers.play(ACCESS, pin=PIN, puk=PUK, key=MANAGEMENT_KEY, new="ab" * 32)


def test_keys_and_certificates(peers: Peers) -> None:
    """Keys are made, imported, exported, moved and deleted; certificates come and go."""
    own = "req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.pem -subj /CN=own"
    peers.run("openssl", *own.split())
    peers.play(KEYS, pin=PIN, key=MANAGEMENT_KEY)
    assert (peers.folder / "9a.pem").read_text() == (peers.folder / "again.pem").read_text()


def test_objects(peers: Peers) -> None:
    """Data objects are generated, imported and exported; printed information wants the PIN."""
    (peers.folder / "data.bin").write_bytes(bytes(range(256)) * 8)
    peers.play(OBJECTS, pin=PIN, key=MANAGEMENT_KEY)


def test_openssl_verifies_attestation(peers: Peers) -> None:
    """A statement that ykman fetched verifies in OpenSSL under the bench's virtual roots."""
    peers.play(ATTESTATION, key=MANAGEMENT_KEY, pin=PIN)
    attested, generated = (peers.folder / name for name in ("attested.pem", "9d.pem"))
    assert attested.read_text() == generated.read_text()
    assert "statement.pem: OK" in peers.verify_attestation("statement.pem", "f9.pem")
