"""Programs that nobody here wrote use what a profile's further PIV settings put on a token.

ykman, OpenSC, OpenSSL and yubico-piv-tool; the PIN comes from escrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.issued import Issued
from tests.stations import make_station
from tokenprov.sim.bench import VirtualBench

OPENSC = ("pkcs11-tool", "--module", "opensc-pkcs11.so")
SID = "S-1-5-21-36238110-3361044348-30300820-1013"
ROSTER = f"id,name,email,upn,sid\nE1,Ada Example,ada@example.test,ada@corp.example.test,{SID}\n"
PROFILE = """name = "further-settings"
[piv]
management-key = { pin-protected = true }
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
[piv.keys.certificate]
upn = true
usages = ["client-auth", "smartcard-logon"]
[[piv.keys]]
slot = "9d"
algorithm = "rsa2048"
origin = "escrowed"
[piv.keys.certificate]
compress = true
usages = ["email-protection"]
[[piv.keys]]
slot = "82"
algorithm = "rsa2048"
origin = "escrowed"
[piv.keys.certificate]
usages = ["email-protection"]
[[piv.objects]]
id = "5fc122"
text = "{holder.id}"
"""


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issued]:
    """One token, issued with the profile by the real command."""
    folder: Path = tmp_path_factory.mktemp("issued")
    with VirtualBench(tokens=1) as bench:
        station = make_station(folder, bench.environment)
        (folder / "profile.toml").write_text(PROFILE)
        (folder / "roster.csv").write_text(ROSTER)
        said = station.run(
            *("batch", "run", folder / "roster.csv", "--profile", folder / "profile.toml")
        )
        assert said.code == 0, said.out + said.err
        yield Issued(bench=bench, station=station, said=said, entries=station.entries())


@pytest.fixture
def serial(issued: Issued) -> str:
    """The token."""
    (only,) = issued.serials
    return only


def certificate(issued: Issued, serial: str, slot: str) -> x509.Certificate:
    """The certificate that the manifest keeps for a slot."""
    (step,) = [
        one for one in issued.entry(serial)["steps"] if one["id"] == f"piv/{slot}/certificate"
    ]
    return x509.load_der_x509_certificate(issued.station.blob(step["evidence"][0]["sha256"]))


def test_ykman_writes_with_the_pin_alone(issued: Issued, serial: str) -> None:
    """It knows the management key as its own way of keeping one, and finds it by the PIN."""
    info = issued.run("ykman", "-d", serial, "piv", "info")
    assert "Management key is stored on the YubiKey, protected by PIN" in info
    assert "derived" not in info
    note = issued.write("note", b"written by ykman")
    pin = issued.station.secrets(serial)["piv/pin"]
    # a session of its own: without a terminal it asks on its standard input
    write = ("setsid", "--wait", "ykman", "-d", serial, "piv", "objects", "import", "5f0001", note)
    issued.run(*write, input="654321\n", code=1)
    issued.run(*write, input=f"{pin}\n")
    exported = issued.run("ykman", "-d", serial, "piv", "objects", "export", "5f0001", "-")
    assert exported == "written by ykman"


def test_ykman_tells_imported_from_generated(issued: Issued, serial: str) -> None:
    """The origin of each key; a compressed certificate is exported as the manifest has it."""
    for slot, origin in (("9a", "GENERATED"), ("9d", "IMPORTED"), ("82", "IMPORTED")):
        said = issued.run("ykman", "-d", serial, "piv", "keys", "info", slot)
        assert origin in said
        pem = issued.run("ykman", "-d", serial, "piv", "certificates", "export", slot, "-")
        there = x509.load_pem_x509_certificate(pem.encode())
        assert there == certificate(issued, serial, slot)
    issued.run("ykman", "-d", serial, "piv", "keys", "attest", "9d", "-", code=1)


def test_opensc_finds_the_retired_key_and_decrypts(issued: Issued, serial: str) -> None:
    """By the Key History it shows the certificate in 82; 9d and 82 decrypt with the sealed PIN."""
    objects = issued.run(*OPENSC, "-O")
    assert "Retired Certificate for Key Management 1" in objects
    assert "Retired Certificate for Key Management 2" not in objects
    pin = {"TOKEN_PIN": issued.station.secrets(serial)["piv/pin"]}
    issued.write("session-key", b"sixteen bytes...")
    for slot, number in (("9d", "03"), ("82", "05")):  # OpenSC numbers PIV's keys so
        pem = certificate(issued, serial, slot).public_bytes(Encoding.PEM)
        name = issued.write(f"{slot}.pem", pem)
        encrypt = ("openssl", "pkeyutl", "-encrypt", "-certin", "-inkey", name)
        issued.run(*encrypt, "-in", "session-key", "-out", "encrypted")
        decrypt = ("--decrypt", "--mechanism", "RSA-PKCS", "--id", number, "-i", "encrypted")
        login = ("--login", "--pin", "env:TOKEN_PIN")
        assert issued.run(*OPENSC, *login, *decrypt, secrets=pin) == "sixteen bytes..."


def test_openssl_reads_old_mail_with_the_key_from_escrow(issued: Issued, serial: str) -> None:
    """When the token is lost: break-glass opens the key, and OpenSSL decrypts a message with it."""
    issued.write("mail", b"meet me at noon\n")
    pem = certificate(issued, serial, "9d").public_bytes(Encoding.PEM)
    recipient = issued.write("recipient.pem", pem)
    seal = ("openssl", "cms", "-encrypt", "-aes256", "-in", "mail", "-out", "mail.cms")
    issued.run(*seal, recipient)
    key = issued.write("key.der", bytes.fromhex(issued.station.secrets(serial)["piv/9d/key"]))
    read = ("openssl", "cms", "-decrypt", "-in", "mail.cms", "-recip", recipient)
    said = issued.run(*read, "-inkey", key, "-keyform", "DER")
    assert said.replace("\r", "") == "meet me at noon\n"


def test_openssl_reads_the_account_and_the_usages(issued: Issued, serial: str) -> None:
    """The identifier of the Windows account stands in the certificate of 9a, in its extension."""
    pem = certificate(issued, serial, "9a").public_bytes(Encoding.PEM)
    name = issued.write("9a.pem", pem)
    text = issued.run("openssl", "x509", "-in", name, "-noout", "-text")
    assert "1.3.6.1.4.1.311.25.2" in text
    assert SID in text
    trust = ("-CAfile", str(issued.station.home / "ca" / "ca.pem"))
    for slot, purpose in (("9a", "sslclient"), ("9d", "smimeencrypt"), ("82", "smimeencrypt")):
        pem = certificate(issued, serial, slot).public_bytes(Encoding.PEM)
        name = issued.write(f"{slot}.pem", pem)
        said = issued.run("openssl", "verify", *trust, "-purpose", purpose, name)
        assert said.strip() == f"{name}: OK"


def test_yubico_piv_tool_reads_the_object(issued: Issued, serial: str) -> None:
    """The text, byte for byte, without a PIN."""
    tool = ("yubico-piv-tool", "-r", issued.reader(serial))
    said = issued.run(*tool, "-a", "read-object", "--id", "0x5fc122", "-f", "hex")
    assert b"E1".hex() in said.replace(" ", "")
