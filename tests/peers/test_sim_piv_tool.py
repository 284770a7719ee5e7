"""Debian's `yubico-piv-tool` on virtual tokens: its own cycle, and its PKCS#11 module.

Its version 2.2.0 knows no AES management key, so that it gets a token of firmware 5.4.3; and with
OpenSSL 3 it cannot make certificates (yubico-piv-tool issue 388), so that OpenSSL makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.piv_peers import MANAGEMENT_KEY, PIN, PUK, SERIAL, Case, Peers
from tokenprov.sim.bench import VirtualBench

TOOL = "yubico-piv-tool "
NEW_KEY = "ab" * 24

FRESH = [
    Case(
        command=TOOL + "-a status",
        says=r"Version:\t5\.4\.3\n[\s\S]*30000001\n[\s\S]*No data available[\s\S]*left:\t3",
    ),
    Case(command=TOOL + "-a generate -s 9a -A ECCP256 -o 9a.pub", says="Successfully generated"),
    Case(command=TOOL + "-a generate -s 9d -A RSA2048 -o 9d.pub", says="Successfully generated"),
    Case(command=TOOL + "-a attest -s 9a -o statement.pem"),
    Case(command=TOOL + "-a read-certificate -s f9 -o f9.pem"),
]

USE = [
    Case(command=TOOL + "-a import-certificate -s 9a -i nine-a.pem", says="Successfully imported"),
    Case(command=TOOL + "-a import-certificate -s 9d -i nine-d.pem", says="Successfully imported"),
    Case(command=TOOL + "-a read-certificate -s 9a -o back.pem"),
    Case(
        command=TOOL + "-a verify-pin -P {pin} -a test-signature -s 9a -i back.pem",
        says="Successful ECDSA verification",
    ),
    Case(
        command=TOOL + "-a verify-pin -P {pin} -a test-decipher -s 9d -i nine-d.pem",
        says="Successfully performed RSA decryption",
    ),
    Case(
        command=TOOL + "-a verify-pin -P {pin} -a test-decipher -s 9a -i nine-a.pem",
        says="Successfully performed ECDH exchange",
    ),
    Case(
        command=TOOL + "-a test-signature -s 9a -i back.pem", says="(?i)fail", code=1
    ),  # no PIN in this session
    Case(command=TOOL + "-a set-chuid -a set-ccc", says="new CHUID[\\s\\S]*new CCC"),
    Case(command=TOOL + "-a status", says=r"CHUID:\t3019[\s\S]*CCC:\tf015[\s\S]*CN=nine-a"),
    Case(command=TOOL + "-a delete-certificate -s 9d"),
    Case(command=TOOL + "-a read-certificate -s 9d", says="Failed fetching", code=1),
]

ACCESS = [
    Case(command=TOOL + "-a change-pin -P {pin} -N 7531864", says="Successfully changed"),
    Case(command=TOOL + "-a change-puk -P {puk} -N 86427531", says="Successfully changed"),
    Case(command=TOOL + "-a unblock-pin -P 86427531 -N 1357924", says="Successfully unblocked"),
    Case(
        command=TOOL + "-a verify-pin -P 1357924 -a pin-retries --pin-retries=2 --puk-retries=1",
        says="Successfully changed pin retries to 2",
    ),
    Case(command=TOOL + "-a set-mgm-key -n {new}", says="Successfully set new management key"),
    Case(
        command=TOOL + "-k{new} -a import-key -s 9c -i own.key --pin-policy=once",
        says="Successfully imported",
    ),
    Case(command=TOOL + "-k{key} -a set-chuid", says="Failed authentication", code=1),
    Case(command=TOOL + "-a reset", says="(?i)fail", code=1),
    Case(command=TOOL + "-a verify-pin -P 000000", says="1 tries left", code=1),
    Case(command=TOOL + "-a verify-pin -P 000000", says="blocked", code=1),
    Case(command=TOOL + "-a change-puk -P 00000000 -N 11111111", says="blocked", code=1),
    Case(command=TOOL + "-a reset", says="Successfully reset"),
    Case(command=TOOL + "-a status", says=r"No data available[\s\S]*left:\t3"),
]


@pytest.fixture(scope="module")
def one() -> Iterator[VirtualBench]:
    """A private pcscd with one reader."""
    with VirtualBench(tokens=1) as bench:
        yield bench


@pytest.fixture
def peers(one: VirtualBench, tmp_path: Path) -> Peers:
    """One fresh YubiKey of firmware 5.4.3."""
    one.control.replace(0, model="yubikey-5.4.3", serial=SERIAL)
    return Peers(bench=one, folder=tmp_path)


def test_cycle(peers: Peers) -> None:
    """Generate, attest, import, read, sign, decipher, agree, delete."""
    peers.play(FRESH)
    assert "statement.pem: OK" in peers.verify_attestation("statement.pem", "f9.pem")
    peers.certify("9a.pub", "nine-a")
    peers.certify("9d.pub", "nine-d")
    peers.play(USE, pin=PIN)


def test_access_and_reset(peers: Peers) -> None:
    """Change, unblock, retries, management key, import, and a reset only when all is blocked."""
    peers.run("openssl", *["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "own.key"])
    peers.play(ACCESS, pin=PIN, puk=PUK, key=MANAGEMENT_KEY, new=NEW_KEY)


def test_ykcs11(peers: Peers) -> None:
    """The maker's PKCS#11 module lists keys, certificates and attestations, and its test passes."""
    peers.play(FRESH[1:3])
    listed = peers.run("pkcs11-tool", "--module", "libykcs11.so", "-O")
    assert "CN=YubiKey PIV Attestation 9a" in listed
    assert "Public key for Key Management" in listed
    slots = peers.run("pkcs11-tool", "--module", "libykcs11.so", "-L")
    assert "serial num         : 30000001" in slots
    test = ("pkcs11-tool", "--module", "libykcs11.so", "--login", "--pin", PIN, "--test")
    assert "No errors" in peers.run(*test)
