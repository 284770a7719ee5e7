"""A key whose smart card is off: what is left of it goes over HID, by the same serial."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

import pytest
from fido2.ctap2.pin import ClientPin
from yubikit.yubiotp import SLOT

from hwtests.bench import Bench
from hwtests.conditions import application, fido_over, firmware, keyboard, numbered, transport
from hwtests.judges import fields
from hwtests.record import drifted

pytestmark = [
    *(numbered(), application("otp", "fido2", "u2f"), firmware(">=5.0")),
    *(keyboard(), transport("ccid"), fido_over("hid")),
]
PROFILE = """
[device]
usb = ["otp", "fido2", "u2f"]
[otp.slot2]
kind = "hmac-sha1"
access-code = true
[fido2]
pin = { length = 8, force-change = "no" }
"""
CHALLENGE = b"a challenge"


@pytest.fixture
def cardless(nobodys: Bench) -> Iterator[Bench]:
    """Issued with its smart card off; emptied and as it was afterwards."""
    reader = nobodys.reader
    try:
        nobodys.issue("cardless", PROFILE)
        yield nobodys
        nobodys.clear()
    finally:
        # Whatever it says: a key may restart before it answers. It is seen by the reader.
        nobodys.ykman("config", "usb", "--enable-all", "--force", code=None)
        nobodys.place.await_there(reader)


def test_without_its_card_it_is_used_over_hid(cardless: Bench) -> None:
    """Serial, OTP slot and FIDO2 PIN are the recorded ones, by its HID nodes alone."""
    assert cardless.reader.startswith("USB ")
    assert fields(cardless.ykman("info"))["Serial number"] == cardless.serial
    secrets = cardless.secrets()
    with cardless.otp() as session:
        said = session.calculate_hmac_sha1(SLOT.TWO, CHALLENGE)
    seed = bytes.fromhex(secrets["otp/2/seed"])
    assert said == hmac.new(seed, CHALLENGE, hashlib.sha1).digest()
    with cardless.ctap2() as ctap:
        assert ClientPin(ctap).get_pin_token(secrets["fido2/pin"])
    assert not drifted(cardless)
