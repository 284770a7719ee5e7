"""PIV as a profile sets it: what the manifest says, and what programs from elsewhere make of it."""

from __future__ import annotations

import re

from hwtests.bench import REASON, WHO, Bench
from hwtests.conditions import application, firmware, numbered, transport
from hwtests.judges import OPENSC, fields
from hwtests.record import drifted, proved

pytestmark = [numbered(), application("piv")]
TRIES, PUK_TRIES = 5, 4
PROFILE = f"""
[piv]
pin = {{ retries = {TRIES} }}
puk = {{ retries = {PUK_TRIES} }}
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
[piv.keys.certificate]
upn = true
usages = ["client-auth", "smartcard-logon"]
"""
WRONG = "00000000"


def verify_pin(bench: Bench, pin: str, code: int = 0) -> str:
    """The maker's program gives the token a PIN; what it says."""
    tool = ("yubico-piv-tool", "--reader", bench.reader, "--stdin-input", "-a", "verify-pin")
    return bench.run(*tool, input=f"{pin}\n", code=code)


def tries_left(bench: Bench) -> int:
    """How many the maker's program sees."""
    said = fields(bench.run("yubico-piv-tool", "--reader", bench.reader, "-a", "status"))
    return int(said["PIN tries left"])


@firmware(">=4.3")
def test_its_key_is_attested(issued: Bench) -> None:
    """The key was made on this very token: its attestation leads to a root and names the token."""
    said = issued.facts("piv/9a/key")["attestation"]
    assert said["serial"] == issued.serial
    assert said["firmware"] == ".".join(map(str, issued.subject.firmware))
    assert said["generated"] is True


def test_ykman_finds_what_the_manifest_says(issued: Bench) -> None:
    """Tries, CHUID and the certificate in 9a."""
    said = fields(issued.ykman("piv", "info"))
    assert said["PIN tries remaining"].split("/")[0] == str(TRIES)
    assert issued.facts("piv/chuid")["guid"] in said["CHUID"]
    assert said["Fingerprint"] == issued.facts("piv/9a/certificate")["sha256"]


@transport("ccid")
def test_opensc_signs_with_it(issued: Bench) -> None:
    """With the sealed PIN the key signs over PKCS#11, and OpenSSL takes it by the certificate."""
    (issued.folder / "message").write_bytes(b"a challenge")
    issued.ykman("piv", "certificates", "export", "9a", "9a.pem")
    slots = issued.run(*OPENSC, "-L")
    index = re.findall(r"^Slot \d+ \(0x[0-9a-f]+\): (.*)$", slots, re.M).index(issued.reader)
    sign = ("--sign", "--mechanism", "ECDSA-SHA256", "--id", "01", "--signature-format", "openssl")
    issued.run(
        *(*OPENSC, "--slot-index", str(index), "--login", "--pin", "env:TOKEN_PIN", *sign),
        *("-i", "message", "-o", "signature"),
        secrets={"TOKEN_PIN": issued.secrets()["piv/pin"]},
    )
    issued.run("openssl", "x509", "-in", "9a.pem", "-noout", "-pubkey", "-out", "9a.pub")
    check = ("openssl", "dgst", "-sha256", "-verify", "9a.pub", "-signature", "signature")
    assert "Verified OK" in issued.run(*check, "message")


def test_a_wrong_pin_costs_a_try(issued: Bench) -> None:
    """The token counts down, and the sealed PIN sets it back."""
    verify_pin(issued, WRONG, code=1)
    assert tries_left(issued) == TRIES - 1
    verify_pin(issued, issued.secrets()["piv/pin"])
    assert tries_left(issued) == TRIES


@firmware(">=5.3")
def test_a_wrong_puk_costs_a_try(issued: Bench) -> None:
    """The token counts down as the profile has it, and the sealed PUK sets it back."""
    secrets = issued.secrets()
    pin, puk = secrets["piv/pin"], secrets["piv/puk"]
    tool = ("yubico-piv-tool", "--reader", issued.reader, "--stdin-input", "-a", "unblock-pin")
    issued.run(*tool, input=f"{WRONG}\n{pin}\n{pin}\n", code=1)
    said = fields(issued.ykman("piv", "info"))["PUK tries remaining"]
    assert said == f"{PUK_TRIES - 1}/{PUK_TRIES}"
    issued.run(*tool, input=f"{puk}\n{pin}\n{pin}\n")
    said = fields(issued.ykman("piv", "info"))["PUK tries remaining"]
    assert said == f"{PUK_TRIES}/{PUK_TRIES}"


def test_its_key_is_proved(issued: Bench) -> None:
    """`token prove` has it sign, and the audit finds what was recorded."""
    assert proved(issued)["slot"] == "9a"
    assert not drifted(issued)


def test_a_blocked_pin_is_unblocked(issued: Bench) -> None:
    """Wrong until it is blocked, the help desk's key gives the token a new PIN that works."""
    before = issued.secrets()["piv/pin"]
    for _ in range(TRIES):
        verify_pin(issued, WRONG, code=1)
    assert tries_left(issued) == 0
    verify_pin(issued, before, code=1)
    desk = ("--key", issued.key("help-desk"), "--reason", REASON, "--operator", WHO)
    issued.tell("unblock", issued.serial, *desk, "--json")
    after = issued.secrets()["piv/pin"]
    assert after != before
    verify_pin(issued, after)
    assert tries_left(issued) == TRIES


def test_rotation_replaces_puk_and_management_key(issued: Bench) -> None:
    """Both are made anew and sealed; with the new PUK the maker's program sets a PIN."""
    before = issued.secrets()
    desk = ("--key", issued.key("break-glass"), "--reason", REASON, "--operator", WHO)
    issued.tell("rotate", issued.serial, *desk, "--json")
    after = issued.secrets()
    assert after["piv/puk"] != before["piv/puk"]
    assert after["piv/management-key"] != before["piv/management-key"]
    pin = after["piv/pin"]
    tool = ("yubico-piv-tool", "--reader", issued.reader, "--stdin-input", "-a", "unblock-pin")
    issued.run(*tool, input=f"{after['piv/puk']}\n{pin}\n{pin}\n")
    verify_pin(issued, pin)


def test_a_renewed_certificate_is_on_the_token(issued: Bench) -> None:
    """Made anew for the key that is there; the maker's program reads the one that was recorded."""
    key = ("--key", issued.key("token-administration"), "--operator", WHO)
    said = issued.document("renew", issued.serial, "--within", "400", *key)
    (written,) = [one for one in said["steps"] if one["step"] == "piv/9a/certificate"]
    assert written["facts"]["sha256"] != issued.facts("piv/9a/certificate")["sha256"]
    assert fields(issued.ykman("piv", "info"))["Fingerprint"] == written["facts"]["sha256"]
    assert int(proved(issued)["serialNumber"], 16) == int(written["facts"]["serialNumber"], 16)
