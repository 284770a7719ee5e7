"""A PIV card of another maker, issued once: no standard command empties it, so it stays issued.

A later run on the same bench judges it again, with the secrets that the first one sealed.
"""

from __future__ import annotations

import re

from cryptography import x509

from hwtests.bench import Bench
from hwtests.conditions import card, numbered
from hwtests.judges import OPENSC
from hwtests.record import drifted, proved

pytestmark = [numbered(), card()]
PROFILE = """
[piv]
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
attestation = "if-supported"
[piv.keys.certificate]
usages = ["client-auth"]
"""
WRONG = "00000000"
SLOT = re.compile(r"^Slot \d+ \(0x[0-9a-f]+\): (.*)$", re.M)


def with_pin(bench: Bench, pin: str, *what: str, code: int = 0) -> str:
    """OpenSC's module does something behind a PIN; what it says."""
    index = SLOT.findall(bench.run(*OPENSC, "-L")).index(bench.reader)
    module = (*OPENSC, "--slot-index", str(index), "--login", "--pin", "env:TOKEN_PIN")
    return bench.run(*module, *what, code=code, secrets={"TOKEN_PIN": pin})


def test_opensc_knows_its_name(issued: Bench) -> None:
    """The serial in the manifest is the one that OpenSC reads, and it is said to be asserted."""
    said = issued.run("pkcs15-tool", "--reader", issued.reader, "--dump")
    assert re.search(rf"Serial number +: {issued.serial}", said)
    assert issued.entry()["token"]["grade"] == "asserted"


def test_its_certificate_is_the_recorded_one(issued: Bench) -> None:
    """OpenSC reads what the manifest has."""
    said = issued.run("pkcs15-tool", "--reader", issued.reader, "--read-certificate", "01")
    certificate = x509.load_pem_x509_certificate(said[said.index("-----BEGIN") :].encode())
    recorded = int(issued.facts("piv/9a/certificate")["serialNumber"], 16)
    assert certificate.serial_number == recorded


def test_opensc_signs_with_it(issued: Bench) -> None:
    """With the sealed PIN the key signs over PKCS#11, and OpenSSL takes it by the certificate."""
    (issued.folder / "message").write_bytes(b"a challenge")
    read = ("pkcs15-tool", "--reader", issued.reader, "--read-certificate", "01")
    pem = issued.run(*read)
    (issued.folder / "9a.pem").write_text(pem[pem.index("-----BEGIN") :])
    sign = ("--sign", "--mechanism", "ECDSA-SHA256", "--id", "01", "--signature-format", "openssl")
    files = ("-i", "message", "-o", "signature")
    with_pin(issued, issued.secrets()["piv/pin"], *sign, *files)
    issued.run("openssl", "x509", "-in", "9a.pem", "-noout", "-pubkey", "-out", "9a.pub")
    check = ("openssl", "dgst", "-sha256", "-verify", "9a.pub", "-signature", "signature")
    assert "Verified OK" in issued.run(*check, "message")


def test_a_wrong_pin_is_refused(issued: Bench) -> None:
    """As a wrong one, and the sealed one is taken after it."""
    assert "CKR_PIN_INCORRECT" in with_pin(issued, WRONG, "-O", code=1)
    assert "Private Key Object" in with_pin(issued, issued.secrets()["piv/pin"], "-O")


def test_its_key_is_proved(issued: Bench) -> None:
    """`token prove` has it sign, and the audit finds what was recorded."""
    assert proved(issued)["slot"] == "9a"
    assert not drifted(issued)
