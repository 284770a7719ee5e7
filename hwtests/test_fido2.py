"""FIDO2 as a profile sets it: PIN, credential, and what only a re-plug mends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin

from hwtests.bench import Bench
from hwtests.conditions import application, fido_over, firmware, numbered
from hwtests.judges import fields

pytestmark = [numbered(), application("fido2"), fido_over("ccid", "hid")]
RP = "login.example.test"
PROFILE = f"""
[fido2]
pin = {{ length = 8, force-change = "no" }}
[[fido2.credentials]]
rp-id = "{RP}"
rp-name = "Example Login"
user-name = "{{holder.email}}"
"""
WRONG = "not the PIN"
TRIES = 8  # CTAP 2.1, 6.5.2.2
IN_A_ROW = 3  # CTAP 2.1, 6.5.5.6: then it wants its power taken away


@pytest.fixture
def pin(issued: Bench) -> str:
    """The one that is sealed."""
    return issued.secrets()["fido2/pin"]


@pytest.fixture
def counted(issued: Bench, pin: str) -> Iterator[Bench]:
    """With all its tries, before and after."""
    with issued.ctap2() as ctap:
        assert ClientPin(ctap).get_pin_retries()[0] == TRIES
    yield issued
    with issued.ctap2() as ctap:
        ClientPin(ctap).get_pin_token(pin)


def refused(bench: Bench, pin: str) -> CtapError.ERR:
    """What the token says to a PIN."""
    with bench.ctap2() as ctap, pytest.raises(CtapError) as caught:
        ClientPin(ctap).get_pin_token(pin)
    code = caught.value.code
    assert isinstance(code, CtapError.ERR)
    return code


@firmware(">=5.2")
def test_its_passkey_is_there(issued: Bench, pin: str) -> None:
    """With the sealed PIN the maker's library finds the credential of the relying party."""
    with issued.ctap2() as ctap:
        client = ClientPin(ctap)
        token = client.get_pin_token(pin, ClientPin.PERMISSION.CREDENTIAL_MGMT)
        manager = CredentialManagement(ctap, client.protocol, token)
        found = manager.enumerate_creds(hashlib.sha256(RP.encode()).digest())
    (one,) = found
    assert one[6]["name"] == "ada@example.test"


def test_a_wrong_pin_costs_a_try(counted: Bench) -> None:
    """It is refused as a wrong one, and counted."""
    assert refused(counted, WRONG) is CtapError.ERR.PIN_INVALID
    with counted.ctap2() as ctap:
        assert ClientPin(ctap).get_pin_retries()[0] == TRIES - 1


def test_three_wrong_pins_want_a_re_plug(counted: Bench, pin: str) -> None:
    """Then the right one is refused too; taken out and put in again, the token takes it."""
    said = [refused(counted, WRONG) for _ in range(IN_A_ROW)]
    assert said == [CtapError.ERR.PIN_INVALID] * (IN_A_ROW - 1) + [CtapError.ERR.PIN_AUTH_BLOCKED]
    assert refused(counted, pin) is CtapError.ERR.PIN_AUTH_BLOCKED
    counted.place.reinsert(counted.reader)
    counted.place.await_there()
    with counted.ctap2() as ctap:
        assert ClientPin(ctap).get_pin_token(pin)


@fido_over("hid")
def test_ykman_sees_it_over_hid(issued: Bench) -> None:
    """The maker's program finds the PIN set, by the HID interface."""
    said = fields(issued.ykman("fido", "info"))
    assert said["PIN"] == f"{TRIES} attempt(s) remaining"
