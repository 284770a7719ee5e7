"""The factory's credential moved to slot 2, so that slot 1 is free and nothing is lost.

Rules:
- It is done once: with slot 2 in use there is nothing to swap, so that a second run never swaps
  back. Slot 2 leaves the factory empty and no other step of such a profile writes it.
- A slot with an access code is not swapped by the token, and ours get theirs afterwards.
"""

from __future__ import annotations

from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.token import Token


class SwapStep:
    """What slot 1 leaves the factory with, in slot 2."""

    id = "otp/swap"
    title = "OTP slots swapped"

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing is drawn."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """To swap, swapped by us, or a token with nothing or with something else in it."""
        otp = token.otp()
        if otp.configured(2):
            if intent is None:
                return Finding(state=State.CONFLICT, reason="OTP slot 2 holds a credential")
            if not otp.touch_triggered(2):
                return Finding(state=State.CONFLICT, reason="OTP slot 2 holds what is not ours")
            return Finding(
                state=State.MATCH, facts={"slot2": "factory credential"}, unread=("public id",)
            )
        if not otp.configured(1):
            return Finding(state=State.SKIPPED, reason="both slots are empty: nothing to swap")
        if not otp.touch_triggered(1):
            return Finding(state=State.CONFLICT, reason="OTP slot 1 holds a credential")
        return Finding(state=State.ABSENT, facts={"moves": "factory credential"})

    def apply(self, token: Token, intent: Intent) -> None:
        """One command."""
        token.otp().swap()
