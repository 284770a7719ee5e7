"""A static password in a slot: kept as scan codes, which the computer's layout makes characters."""

from __future__ import annotations

from yubikit.yubiotp import StaticPasswordSlotConfiguration

from tokenprov.model import Json, SecretKind
from tokenprov.profile.keyboard import scan_codes
from tokenprov.profile.otp import StaticPasswordSlot
from tokenprov.secret import RandomBytes, draw_text
from tokenprov.step import Drawn, Intent
from tokenprov.steps.otp.typing import TypingStep
from tokenprov.token import Token


class StaticPasswordStep(TypingStep):
    """A drawn password; sealed as the characters that people see."""

    def __init__(
        self, slot: int, settings: StaticPasswordSlot, *, after_swap: bool = False
    ) -> None:
        super().__init__(slot, settings, after_swap=after_swap)
        self.seed_name = f"otp/{slot}/password"
        self._length, self._layout = settings.length, settings.layout
        self._characters = settings.drawn_from

    def draw(self, random: RandomBytes) -> Drawn:
        """A password of characters that the layout has, and an access code."""
        password = draw_text(self._length, self._characters, random)
        return self.drawn(SecretKind.STATIC_PASSWORD, password, random)

    def facts(self, token: Token) -> dict[str, Json]:
        """Where it can be typed."""
        return {"kind": "static-password", "length": self._length, "layout": str(self._layout)}

    def cannot_be_read(self) -> tuple[str, ...]:
        """All of it."""
        return ("password",)

    def apply(self, token: Token, intent: Intent) -> None:
        """One write, and the proof of its access code."""
        codes = scan_codes(intent.secret(self.seed_name).reveal_text(), self._layout)
        self.put(token, self.typed(StaticPasswordSlotConfiguration(codes)), intent)
