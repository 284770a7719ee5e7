"""Slots that type by a touch: proved only by the token's having taken the write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from yubikit.yubiotp import KeyboardSlotConfiguration, UpdateConfiguration

from tokenprov.errors import NotSupported
from tokenprov.model import Json
from tokenprov.profile.otp import TypingSlot
from tokenprov.step import Finding, Intent, State
from tokenprov.steps.otp.slot import SlotStep
from tokenprov.token import Token

PACING_UNIT = 20  # milliseconds: the first flag's; the second one has twice as many

Configuration = TypeVar("Configuration", bound=KeyboardSlotConfiguration)


class TypingStep(SlotStep, ABC):
    """What Yubico OTP, HOTP and static password have in common."""

    def __init__(self, slot: int, settings: TypingSlot, *, after_swap: bool = False) -> None:
        super().__init__(slot, settings, after_swap=after_swap)
        self._settings = settings

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Configured, and sent by a touch, is all that can be seen of it."""
        facts = self.facts(token)
        if intent is None:
            return self.observe_untouched(token)
        otp = token.otp()
        if not otp.configured(self.slot):
            return Finding(state=State.ABSENT)
        if not otp.touch_triggered(self.slot):
            return self.not_ours()
        if not intent.applied:
            return self.unknown()
        return self.matching(intent, facts, *self.cannot_be_read())

    @abstractmethod
    def facts(self, token: Token) -> dict[str, Json]:
        """What was set, in public. Raises `NotSupported` for a token that it cannot be made of."""

    @abstractmethod
    def cannot_be_read(self) -> tuple[str, ...]:
        """What of it cannot be read back."""

    def typing(self) -> UpdateConfiguration:
        """As it was written."""
        made = UpdateConfiguration()  # type: ignore[no-untyped-call]  # yubikit leaves it bare
        return self.typed(made)

    def typed(self, configuration: Configuration) -> Configuration:
        """With how it is typed."""
        pacing = self._settings.pacing // PACING_UNIT
        configuration.append_cr(self._settings.append_enter)
        configuration.pacing(bool(pacing & 1), bool(pacing & 2))
        configuration.fast_trigger(self._settings.fast_trigger)
        configuration.use_numeric(self._settings.numeric_keypad)
        return configuration


def serial_number(token: Token, most: int) -> int:
    """The serial, where an identity is made of it. Raises `NotSupported` if there is none."""
    serial = token.id.serial
    if serial is None or not serial.isdecimal() or int(serial) > most:
        raise NotSupported(
            f"token {token.id.label}: no OTP identity can be made of its serial",
            remedy="Give the identity in the profile, or use another token.",
        )
    return int(serial)
