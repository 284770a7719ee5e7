"""A slot that is to be empty: deleting it is the profile's word that the factory's may go."""

from __future__ import annotations

from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.token import OtpApplet, Token

# yubikit's OTP session: "Programming state does not update" when the last slot is deleted
STALE_STATUS = ((5, 0, 0), (5, 4, 3))  # from, and first one mended


class EmptySlotStep:
    """An empty slot. Only what a touch sends from slot 1 may be the factory's, and is deleted."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.id = f"otp/{slot}"
        self.title = f"OTP slot {slot} empty"

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing is drawn."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Whether it holds anything, as far as the firmware says after a deletion."""
        otp = token.otp()
        facts = {"configured": False}
        if not otp.configured(self.slot):
            return Finding(state=State.MATCH, facts=facts)
        first, mended = STALE_STATUS
        if intent is not None and first <= otp.version < mended:
            if intent.applied:
                return Finding(state=State.MATCH, facts=facts, unread=("configured",))
            if self._holds_factory(otp):
                return Finding(state=State.UNKNOWN, reason="whether it was deleted cannot be read")
        if self._holds_factory(otp):
            return Finding(state=State.ABSENT, facts={"deletes": "factory credential"})
        return Finding(state=State.CONFLICT, reason=f"OTP slot {self.slot} holds a credential")

    def _holds_factory(self, otp: OtpApplet) -> bool:
        return self.slot == 1 and otp.touch_triggered(1)

    def apply(self, token: Token, intent: Intent) -> None:
        """One command."""
        token.otp().delete(self.slot)
