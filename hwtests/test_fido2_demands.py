"""What FIDO2 demands of the holder once a profile says so: a PIN of one's own, and long enough."""

from __future__ import annotations

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin

from hwtests.bench import Bench
from hwtests.conditions import application, fido_over, firmware, numbered

pytestmark = [numbered(), application("fido2"), fido_over("ccid", "hid"), firmware(">=5.7")]
LENGTH = 8
PROFILE = f"""
[fido2]
pin = {{ length = {LENGTH}, force-change = "required" }}
minimum-pin-length = {{ length = {LENGTH} }}
"""
SHORT, OWN = "0918273", "09182736"  # of the holder; the first is one too short


def test_it_says_what_it_demands(issued: Bench) -> None:
    """In getInfo: the shortest PIN, and that the sealed one is to be changed."""
    with issued.ctap2() as ctap:
        assert ctap.info.min_pin_length == LENGTH
        assert ctap.info.force_pin_change is True


def test_the_sealed_pin_is_changed_first(issued: Bench) -> None:
    """It opens nothing and costs no try; a short one is refused, and one's own ends the demand."""
    sealed = issued.secrets()["fido2/pin"]
    with issued.ctap2() as ctap:
        client = ClientPin(ctap)
        tries = client.get_pin_retries()[0]
        with pytest.raises(CtapError) as caught:
            client.get_pin_token(sealed)
        # CTAP 2.1, 6.5.5.7: the first where permissions are asked for, else the second
        assert caught.value.code in {
            CtapError.ERR.PIN_POLICY_VIOLATION,
            CtapError.ERR.PIN_INVALID,
        }
        with pytest.raises(CtapError) as caught:
            client.change_pin(sealed, SHORT)
        assert caught.value.code is CtapError.ERR.PIN_POLICY_VIOLATION
        client.change_pin(sealed, OWN)
        assert client.get_pin_retries()[0] == tries
    with issued.ctap2() as ctap:
        assert ctap.info.force_pin_change is False
        assert ClientPin(ctap).get_pin_token(OWN)
