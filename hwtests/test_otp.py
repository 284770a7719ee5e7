"""OTP slots: a touched challenge-response, and the codes that slots are behind."""

from __future__ import annotations

import hashlib
import hmac

from yubikit.yubiotp import SLOT

from hwtests.bench import Bench
from hwtests.conditions import application, numbered
from hwtests.judges import fields
from hwtests.record import drifted

pytestmark = [numbered(), application("otp")]
PROFILE = """
[otp.slot1]
kind = "yubico-otp"
replace-factory = true
access-code = true
[otp.slot2]
kind = "hmac-sha1"
access-code = true
touch = true
"""
CHALLENGE = b"a challenge"


def test_a_touched_slot_answers(issued: Bench) -> None:
    """The maker's library gets the answer of the sealed seed, once the token is touched."""

    def answer() -> bytes:
        with issued.otp() as session:
            return session.calculate_hmac_sha1(SLOT.TWO, CHALLENGE)

    seed = bytes.fromhex(issued.secrets()["otp/2/seed"])
    said = issued.touched("challenge-response", answer)
    assert said == hmac.new(seed, CHALLENGE, hashlib.sha1).digest()


def test_a_slot_is_behind_its_code(issued: Bench) -> None:
    """Without the code nobody empties it; with the sealed one it is, and the audit says so."""
    issued.ykman("otp", "delete", "2", "--force", code=1)
    assert fields(issued.ykman("otp", "info"))["Slot 2"] == "programmed"
    code = issued.secrets()["otp/2/access-code"]
    delete = ("--access-code", "-", "delete", "2", "--force")
    issued.ykman("otp", *delete, input=f"{code}\n")
    assert fields(issued.ykman("otp", "info"))["Slot 2"] == "empty"
    assert drifted(issued)


def test_its_serial_is_still_visible(issued: Bench) -> None:
    """Writing the slots has not hidden it."""
    assert fields(issued.ykman("info"))["Serial number"] == issued.serial
