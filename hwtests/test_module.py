"""A token that is reached through its maker's PKCS#11 module: what OpenSC's tool makes of it."""

from __future__ import annotations

import hashlib
import json

from cryptography import x509

from hwtests.bench import REASON, WHO, Bench
from hwtests.conditions import behind_a_module, numbered
from hwtests.errors import BenchError
from hwtests.record import drifted, proved
from hwtests.subject import Subject

pytestmark = [numbered(), behind_a_module()]
LABEL = "hwtests"
WRONG = "00000000"
HASHED, RAW = "ECDSA-SHA256", "ECDSA"  # a token has one of them, or both


def profile(subject: Subject) -> str:
    """One key with a certificate, behind the module that the token is named with."""
    published = json.dumps(subject.so_pin)
    so_pin = f"so-pin = {{ published = {published} }}\n" if subject.so_pin else ""
    return f"""
[pkcs11]
module = {json.dumps(subject.module)}
label = "{LABEL}"
{so_pin}
[[pkcs11.keys]]
id = "01"
label = "login"
algorithm = "eccp256"
certificate = {{ usages = ["client-auth"] }}
"""


PROFILE = profile


def tool(bench: Bench, *what: str, pin: str = "", code: int = 0) -> str:
    """OpenSC's tool on the token, logged in where a PIN is given; what it says."""
    assert bench.subject.module is not None
    command = ["pkcs11-tool", "--module", bench.subject.module, "--token-label", LABEL, *what]
    if not pin:
        return bench.run(*command, code=code)
    login = ("--login", "--pin", "env:TOKEN_PIN")
    return bench.run(*command, *login, code=code, secrets={"TOKEN_PIN": pin})


def pin_of(bench: Bench) -> str:
    """The user PIN that is sealed now."""
    return bench.secrets()["pkcs11/user-pin"]


def test_its_key_was_made_on_it(issued: Bench) -> None:
    """One private key, that never leaves the token, and the recorded certificate."""
    listed = tool(issued, "--list-objects", pin=pin_of(issued))
    assert listed.count("Private Key Object") == 1
    assert "never extractable" in listed
    tool(issued, "--read-object", "--type", "cert", "--id", "01", "--output-file", "01.der")
    found = x509.load_der_x509_certificate((issued.folder / "01.der").read_bytes())
    recorded = issued.facts("pkcs11/01/certificate")["serialNumber"]
    assert found.serial_number == int(recorded, 16)


def test_it_signs(issued: Bench) -> None:
    """With the sealed PIN, by whichever mechanism it has; OpenSSL takes it by the certificate."""
    message = b"a challenge"
    (issued.folder / "message").write_bytes(message)
    (issued.folder / "digest").write_bytes(hashlib.sha256(message).digest())
    has = tool(issued, "--list-mechanisms")
    mechanism, file = (HASHED, "message") if f"{HASHED}," in has else (RAW, "digest")
    sign = ("--sign", "--id", "01", "--mechanism", mechanism, "--signature-format", "openssl")
    tool(issued, *sign, "-i", file, "-o", "signature", pin=pin_of(issued))
    tool(issued, "--read-object", "--type", "cert", "--id", "01", "--output-file", "01.der")
    public = ("-inform", "DER", "-in", "01.der", "-noout", "-pubkey", "-out", "01.pub")
    issued.run("openssl", "x509", *public)
    check = ("openssl", "dgst", "-sha256", "-verify", "01.pub", "-signature", "signature")
    assert "Verified OK" in issued.run(*check, "message")


def test_a_wrong_pin_is_refused(issued: Bench) -> None:
    """As a wrong one, and the sealed one is taken after it."""
    assert "CKR_PIN_INCORRECT" in tool(issued, "--list-objects", pin=WRONG, code=1)
    assert "Private Key Object" in tool(issued, "--list-objects", pin=pin_of(issued))


def test_its_key_is_proved(issued: Bench) -> None:
    """`token prove` has it sign, and the audit finds what was recorded."""
    assert proved(issued)["slot"] == "01"
    assert not drifted(issued)


def test_it_gets_a_new_pin(issued: Bench) -> None:
    """By the sealed SO PIN; the old one is refused, the new one taken, and the key stays."""
    before = pin_of(issued)
    opening = ("--key", issued.key("token-administration"), "--reason", REASON, "--operator", WHO)
    issued.tell("unblock", issued.serial, *opening, "--json")
    after = pin_of(issued)
    if after == before:
        raise BenchError("the sealed PIN is the old one")
    assert "CKR_PIN_INCORRECT" in tool(issued, "--list-objects", pin=before, code=1)
    assert "Private Key Object" in tool(issued, "--list-objects", pin=after)


def test_given_back_it_is_empty(nobodys: Bench) -> None:
    """No objects, no user PIN, and in stock for the next holder."""
    assert nobodys.used() == []
    assert nobodys.last_kind() in ("wiped", None)
