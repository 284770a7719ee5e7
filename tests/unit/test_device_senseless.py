"""A YubiKey whose answers are well-formed APDUs and hold nothing that its protocol wants.

The maker's library takes answers apart without looking: what it trips over is told as the token's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY
from yubikit.yubiotp import HmacSha1SlotConfiguration

from tests.in_process import SELECT, SERIAL, Finger, Line
from tokenprov.device.pcsc import PcscConnection
from tokenprov.device.token import YubiKey, recognised
from tokenprov.errors import NotSupported, TokenRefused
from tokenprov.sim.assembly import make_token
from tokenprov.steps.piv.access import FACTORY_MANAGEMENT_KEY

MANAGEMENT, PIV, OTP = "a000000527471117", "a000000308", "a0000005272001"
KEY = HmacSha1SlotConfiguration(bytes(20))


class Senseless(Line):
    """Answers one instruction of one application so, in hex; SELECT is an instruction, too."""

    def __init__(self, application: str, ins: int, answer: str, **model: Any) -> None:
        super().__init__(make_token(model.get("model", "yubikey-5.4.3"), SERIAL))
        self._application, self._ins = bytes.fromhex(application), ins
        self._answer, self._selected = bytes.fromhex(answer), b""

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        if apdu[1] == SELECT:
            self._selected = bytes(apdu[5:])
        if self._selected.startswith(self._application) and apdu[1] == self._ins:
            return self._answer[:-2], int.from_bytes(self._answer[-2:])
        return super().send_and_receive(apdu)


def yubikey(line: Line) -> YubiKey:
    """The product's view of it."""
    return YubiKey(cast(PcscConnection, line), cast(Any, Finger()))


def _generate(token: YubiKey) -> object:
    token.piv().authenticate(FACTORY_MANAGEMENT_KEY)
    policies = PIN_POLICY.DEFAULT, TOUCH_POLICY.DEFAULT
    return token.piv().generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, *policies)


@pytest.mark.parametrize(
    ("application", "ins", "answers", "use"),
    [
        (MANAGEMENT, 0x1D, ("9000", "009000", "05010203049000"), lambda token: token),
        (PIV, 0xFD, ("9000", "059000"), YubiKey.piv),
        (PIV, 0xF7, ("9000", "01029000"), lambda token: token.piv().pin_tries()),
        (PIV, 0xF9, ("9000", "30039000"), lambda token: token.piv().attest(SLOT.ATTESTATION)),
        (PIV, 0x47, ("9000", "7f499000"), _generate),
        (PIV, 0x87, ("9000", "7c9000"), _generate),
        (PIV, 0xCB, ("9000", "53829000"), lambda token: token.piv().object(0x5FC102)),
        (OTP, SELECT, ("9000", "05079000"), YubiKey.otp),
        (OTP, 0x01, ("059000", "05079000"), lambda token: token.otp().put(2, KEY, None, None)),
    ],
    ids=("devinfo", "version", "metadata", "attest", "generate", "use", "get", "status", "put"),
)
def test_it_is_told_as_the_tokens(
    application: str, ins: int, answers: tuple[str, ...], use: Callable[[YubiKey], object]
) -> None:
    """Empty answers and ones that are cut off: a refusal in words, for that token alone."""
    for answer in answers:

        def used(line: Line) -> object:
            return use(yubikey(line))

        with pytest.raises(TokenRefused, match="the token's answer makes no sense"):
            used(Senseless(application, ins, answer))


@pytest.mark.parametrize("answer", ["9000", "059000", "0102039000", "ff" * 40 + "9000"])
def test_a_card_that_answers_to_the_makers_name_is_no_yubikey(answer: str) -> None:
    """Whatever it says after that: it is looked at as a card."""
    line = Senseless(MANAGEMENT, SELECT, answer, model="piv-card")
    card = recognised(cast(PcscConnection, line), cast(Any, Finger()))
    assert card.id.model == "PIV card"
    line = Senseless(MANAGEMENT, SELECT, answer)
    with pytest.raises(NotSupported, match="is not a YubiKey"):  # by its ATR it is one
        recognised(cast(PcscConnection, line), cast(Any, Finger()))


@pytest.mark.parametrize("sw", ["6985", "6a80", "6d00"])
def test_a_serial_that_piv_keeps_to_itself(sw: str) -> None:
    """It is told by the management application alone, and PIV works all the same."""
    token = yubikey(Senseless(PIV, 0xF8, sw))
    assert (token.piv().serial(), token.id.serial) == (None, str(SERIAL))


def test_an_algorithm_that_a_token_lacks_is_told_as_that() -> None:
    """The one parameter of GENERATE is refused (SP 800-73-4 part 2, 3.3.2)."""
    token = yubikey(Senseless(PIV, 0x47, "6a80"))
    with pytest.raises(NotSupported, match="makes no key of eccp256") as raised:
        _generate(token)
    assert "another algorithm" in str(raised.value)


@pytest.mark.parametrize("sw", ["6a88", "6a82", "6a83"])
def test_metadata_of_the_management_key_that_is_not_found(sw: str) -> None:
    """Its algorithm is found by asking, and the PIN's tries by an empty VERIFY."""
    piv = yubikey(Senseless(PIV, 0xF7, sw)).piv()
    assert piv.management_key_is_default() is None
    assert piv.pin_tries().remaining == 3
    piv.authenticate(FACTORY_MANAGEMENT_KEY)
    assert piv.key(SLOT.AUTHENTICATION) is None
