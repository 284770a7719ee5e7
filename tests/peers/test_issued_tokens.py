"""Programs that nobody here wrote look at issued tokens, and agree with the manifest.

ykman, yubico-piv-tool, OpenSC and fido2; the PIN that they need comes from escrow and never stands
on a command line.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.issued import Issued, issued_tokens

OPENSC = ("pkcs11-tool", "--module", "opensc-pkcs11.so")
DEFAULTS = ("default PIN", "default PUK", "default Management key")


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issued]:
    """Two issued tokens and a spare one."""
    with issued_tokens(tmp_path_factory.mktemp("issued")) as made:
        yield made


def fields(text: str) -> dict[str, str]:
    """The lines "name: value" of a program's output; of a name that comes twice, the last."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def certificate(issued: Issued, serial: str) -> x509.Certificate:
    """The certificate that the manifest keeps for a token."""
    return x509.load_der_x509_certificate(issued.evidence(serial, "certificate"))


def holder(issued: Issued, serial: str) -> str:
    """Whose token it is."""
    return str(issued.entry(serial)["holder"]["name"])


def opensc_slot(issued: Issued, serial: str) -> str:
    """OpenSC's index of a token: it names each by the end of the GUID in the CHUID."""
    guid = issued.facts(serial, "piv/chuid")["guid"]
    numbers = re.findall(r"serial num\s*: (\w+)", issued.run(*OPENSC, "-T"))
    return str(numbers.index(guid[16:]))


def test_ykman_lists_the_serials_of_the_manifest(issued: Issued) -> None:
    """`ykman list` sees the tokens that the manifest names, and the one that is in no entry."""
    listed = issued.run("ykman", "list", "--serials").split()
    assert sorted(listed) == sorted([*issued.serials, issued.spare])
    assert len(issued.serials) == 2


def test_ykman_info_knows_the_token(issued: Issued) -> None:
    """Model and firmware are what the entry says."""
    serial = issued.serials[1]
    said = fields(issued.run("ykman", "-d", serial, "info"))
    token = issued.entry(serial)["token"]
    assert said["Device type"] == token["model"]
    assert said["Firmware version"] == token["firmware"]
    assert said["Serial number"] == serial


def test_ykman_piv_info_agrees(issued: Issued) -> None:
    """Tries, nothing of the factory's, management key, CHUID, and the certificate in 9a."""
    for serial in issued.serials:
        text = issued.run("ykman", "-d", serial, "piv", "info")
        said = fields(text)
        tries = issued.facts(serial, "piv/tries")
        assert said["PIN tries remaining"] == f"{tries['pinTries']}/{tries['pinTries']}"
        assert said["PUK tries remaining"] == f"{tries['pukTries']}/{tries['pukTries']}"
        assert not [words for words in DEFAULTS if words in text]
        algorithm = issued.facts(serial, "piv/management-key")["algorithm"]
        assert said["Management key algorithm"].lower() == algorithm
        assert issued.facts(serial, "piv/chuid")["guid"] in said["CHUID"]
        assert issued.facts(serial, "piv/ccc")["cardIdentifier"] in said["CCC"]
        wanted = issued.facts(serial, "piv/9a/certificate")
        assert said["Fingerprint"] == wanted["sha256"]
        assert int(said["Serial"].replace(":", ""), 16) == int(wanted["serialNumber"], 16)
        assert said["Issuer DN"] == wanted["issuer"]
        assert said["Subject DN"] == f"CN={holder(issued, serial)}"


def test_ykman_warns_of_the_token_that_was_not_issued(issued: Issued) -> None:
    """The spare token still has every factory value: what is missed above would be seen here."""
    text = issued.run("ykman", "-d", issued.spare, "piv", "info")
    assert [words for words in DEFAULTS if words not in text] == []
    assert "Fingerprint" not in text


def test_ykman_key_policies_agree(issued: Issued) -> None:
    """Algorithm, origin and policies of the key in 9a."""
    serial = issued.serials[0]
    said = fields(issued.run("ykman", "-d", serial, "piv", "keys", "info", "9a"))
    facts = issued.facts(serial, "piv/9a/key")
    assert said["Algorithm"].lower() == facts["algorithm"]
    assert said["Origin"] == "GENERATED"
    assert said["PIN required for use"].lower() == facts["attestation"]["pinPolicy"]
    assert said["Touch required for use"].lower() == facts["attestation"]["touchPolicy"]


def test_ykman_attests_the_key_that_was_certified(issued: Issued) -> None:
    """A new attestation by ykman verifies in OpenSSL and is of the certificate's key."""
    serial = issued.serials[0]
    pem = issued.run("ykman", "-d", serial, "piv", "keys", "attest", "9a", "-")
    f9 = issued.run("ykman", "-d", serial, "piv", "certificates", "export", "f9", "-")
    trust = issued.station.home / "trust"
    statement = issued.write("statement.pem", pem.encode())
    between = issued.write("between.pem", (trust / "01-chain.pem").read_bytes() + f9.encode())
    verify = ("openssl", "verify", "-CAfile", str(trust / "00-root.pem"), "-untrusted", between)
    assert issued.run(*verify, statement).strip() == f"{statement}: OK"
    attested = x509.load_pem_x509_certificate(pem.encode()).public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    own = certificate(issued, serial).public_key()
    assert attested.public_bytes(*form) == own.public_bytes(*form)


def test_ykman_exports_the_certificate_of_the_manifest(issued: Issued) -> None:
    """The bytes on the token are the bytes of the manifest's blob."""
    serial = issued.serials[1]
    pem = issued.run("ykman", "-d", serial, "piv", "certificates", "export", "9a", "-")
    there = x509.load_pem_x509_certificate(pem.encode())
    assert there.public_bytes(Encoding.DER) == issued.evidence(serial, "certificate")


def test_ykman_otp_info_agrees(issued: Issued) -> None:
    """Both slots are programmed on an issued token; slot 2 of the spare one is empty."""
    serial = issued.serials[0]
    said = fields(issued.run("ykman", "-d", serial, "otp", "info"))
    assert said == {"Slot 1": "programmed", "Slot 2": "programmed"}
    spare = fields(issued.run("ykman", "-d", issued.spare, "otp", "info"))
    assert spare == {"Slot 1": "programmed", "Slot 2": "empty"}


def test_slot_1_types_what_was_recorded_and_sealed(issued: Issued) -> None:
    """The keystrokes begin with the recorded public id and end in Enter, a new one each time."""
    serial = issued.serials[0]
    public_id = issued.facts(serial, "otp/1")["publicId"]
    first, second = (issued.bench.control.type_slot(int(serial), 1) for _ in range(2))
    assert first.startswith(public_id)
    assert second.startswith(public_id)
    assert first != second
    assert len(first.strip()) == 44
    assert first.endswith("\n")


def test_ykman_cannot_write_a_protected_slot(issued: Issued) -> None:
    """Slot 2 refuses ykman without the access code from escrow, and takes it with the code."""
    serial = issued.serials[1]
    write = ("ykman", "-d", serial, "otp")
    issued.run(*write, "delete", "2", "--force", code=1)
    assert fields(issued.run(*write, "info"))["Slot 2"] == "programmed"
    code = issued.station.secrets(serial)["otp/2/access-code"]
    issued.run(*write, "--access-code", "-", "delete", "2", "--force", input=f"{code}\n")
    assert fields(issued.run(*write, "info"))["Slot 2"] == "empty"


def test_yubico_piv_tool_agrees(issued: Issued) -> None:
    """`-a status` shows serial, CHUID, CCC, certificate and tries as recorded."""
    for serial in issued.serials:
        said = fields(issued.run("yubico-piv-tool", "-r", issued.reader(serial), "-a", "status"))
        assert said["Serial Number"] == serial
        assert issued.facts(serial, "piv/chuid")["guid"] in said["CHUID"]
        assert issued.facts(serial, "piv/ccc")["cardIdentifier"] in said["CCC"]
        assert said["Algorithm"].lower() == issued.facts(serial, "piv/9a/key")["algorithm"]
        assert said["Fingerprint"] == issued.facts(serial, "piv/9a/certificate")["sha256"]
        assert said["PIN tries left"] == str(issued.facts(serial, "piv/tries")["pinTries"])


def test_opensc_names_token_and_objects(issued: Issued) -> None:
    """`pkcs11-tool -T` finds the holder's name, `-O` the certificate and its key."""
    tokens = issued.run(*OPENSC, "-T")
    for serial in issued.serials:
        assert re.search(rf"token label\s*: {re.escape(holder(issued, serial))}\n", tokens)
        objects = issued.run(*OPENSC, "--slot-index", opensc_slot(issued, serial), "-O")
        wanted = certificate(issued, serial)
        assert int(fields(objects)["serial"], 16) == wanted.serial_number
        point = wanted.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        assert point.hex() in objects


def test_opensc_logs_in_and_signs(issued: Issued) -> None:
    """With the escrowed PIN the key in 9a signs, and OpenSSL takes it by the recorded certificate.

    A wrong PIN does not log in, which is tried on the other token.
    """
    serial, other = issued.serials
    pin = {"TOKEN_PIN": issued.station.secrets(serial)["piv/pin"]}
    issued.write("message", b"login challenge")
    issued.write("certificate.der", issued.evidence(serial, "certificate"))
    slot = (*OPENSC, "--slot-index", opensc_slot(issued, serial), "--login", "--pin")
    sign = ("--sign", "--mechanism", "ECDSA-SHA256", "--id", "01", "--signature-format", "openssl")
    issued.run(*slot, "env:TOKEN_PIN", *sign, "-i", "message", "-o", "signature", secrets=pin)
    export = "openssl x509 -inform DER -in certificate.der -noout -pubkey -out key.pem"
    issued.run(*export.split())
    check = "openssl dgst -sha256 -verify key.pem -signature signature message"
    assert "Verified OK" in issued.run(*check.split())
    issued.write("message", b"another challenge")
    assert "failure" in issued.run(*check.split(), code=1)

    reader = ("pkcs15-tool", "--reader", issued.reader(other))
    issued.run(*reader, "--verify-pin", "--pin", "env:TOKEN_PIN", secrets=pin, code=None)
    left = issued.bench.control.token(int(other))["reader"]
    said = fields(issued.run("yubico-piv-tool", "-r", left, "-a", "status"))
    assert said["PIN tries left"] == str(issued.facts(other, "piv/tries")["pinTries"] - 1)


FIRST_USE = """
import json, sys
from fido2.ctap2.base import Ctap2
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin
from fido2.pcsc import CtapPcscDevice
from fido2.utils import websafe_encode

asked = json.load(sys.stdin)
(device,) = CtapPcscDevice.list_devices(asked["reader"])
ctap = Ctap2(device)
forced = ctap.info.force_pin_change
pin = ClientPin(ctap)
pin.change_pin(asked["pin"], asked["new"])
ctap = Ctap2(device)
token = pin.get_pin_token(asked["new"], ClientPin.PERMISSION.CREDENTIAL_MGMT)
manager = CredentialManagement(ctap, pin.protocol, token)
found = [
    [rp[3]["id"], credential[6]["name"], websafe_encode(credential[7]["id"])]
    for rp in manager.enumerate_rps()
    for credential in manager.enumerate_creds(rp[4])
]
print(json.dumps({"forced": forced, "after": ctap.info.force_pin_change,
                  "aaguid": str(ctap.info.aaguid), "credentials": found}))
device.close(release=True)
"""


def test_fido2_finds_the_passkey_after_the_forced_change(issued: Issued) -> None:
    """The holder's first use: the sealed PIN is changed, as demanded, and shows the passkey.

    By fido2's own client: ykman does not do FIDO over this transport.
    """
    serial = issued.serials[0]
    asked = {
        "reader": issued.reader(serial),
        "pin": issued.station.secrets(serial)["fido2/pin"],
        "new": "the holder's own",
    }
    said = json.loads(issued.run(sys.executable, "-c", FIRST_USE, input=json.dumps(asked)))
    facts = issued.facts(serial, "fido2/credential/login.example.test")
    assert said == {
        "forced": True,
        "after": False,
        "aaguid": facts["attestation"]["aaguid"],
        "credentials": [
            [facts["rpId"], issued.entry(serial)["holder"]["upn"], facts["credentialId"]]
        ],
    }
