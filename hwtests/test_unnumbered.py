"""A Security Key, or whatever has FIDO2 and no serial: it is known by a mark, one at a time."""

from __future__ import annotations

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin

from hwtests.bench import ORDERS_LEFT, Bench
from hwtests.conditions import application, numbered

pytestmark = [numbered(False), application("fido2")]
PROFILE = """
if-supported = ["fido2.minimum-pin-length"]
[fido2]
pin = { length = 8, force-change = "no" }
minimum-pin-length = { length = 6 }
[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Example Login"
user-name = "{holder.email}"
"""
WRONG = "not the PIN"


def test_it_is_recorded_by_its_mark(issued: Bench) -> None:
    """Without a serial, with the mark under which its secrets are sealed."""
    token = issued.entry()["token"]
    assert token["serial"] is None
    assert token["mark"] == issued.label
    assert "fido2/pin" in issued.secrets()


def test_its_pin_is_the_sealed_one(issued: Bench) -> None:
    """Another one costs a try, and the sealed one sets the tries back."""
    pin = issued.secrets()["fido2/pin"]
    with issued.ctap2() as ctap:
        client = ClientPin(ctap)
        before = client.get_pin_retries()[0]
        with pytest.raises(CtapError) as caught:
            client.get_pin_token(WRONG)
        assert caught.value.code is CtapError.ERR.PIN_INVALID
        assert client.get_pin_retries()[0] == before - 1
        assert client.get_pin_token(pin)
        assert client.get_pin_retries()[0] == before


def test_put_in_again_it_is_known(issued: Bench) -> None:
    """A second batch does not take it: it was issued before, and nothing is written to it."""
    issued.place.reinsert(issued.reader)
    issued.place.await_there()
    said = issued.tell(*issued.batch("again", PROFILE), *issued.leave, code=ORDERS_LEFT)
    assert said.document["counts"]["issued"] == 0
    assert said.only("TokenReady")["label"] == issued.label
    pin = issued.secrets()["fido2/pin"]
    with issued.ctap2() as ctap:
        assert ClientPin(ctap).get_pin_token(pin)
