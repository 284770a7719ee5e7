"""The access code of an OTP slot, made anew; what the slot holds stays as it is.

Rules:
- An update, in one command: the seed is not known here, and the counter of a Yubico OTP goes on.
- How the slot types is part of an update: it is given as it was written.
- An access code cannot be read. After a cut the new one is tried first; at the end the old one is
  refused, which is the proof.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed, NotVerified
from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, Secret, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.steps.otp.slot import ACCESS_CODE_SIZE, SlotStep, access_code_name
from tokenprov.token import Token


class NewAccessCodeStep:
    """A drawn access code in the place of the one in escrow."""

    def __init__(self, slot: SlotStep, old: Secret) -> None:
        self._slot, self._old = slot, old
        self._name = access_code_name(slot.slot)
        self.id = self._name
        self.title = f"access code of {slot.title}"

    def draw(self, random: RandomBytes) -> Drawn:
        """Six bytes."""
        code = DrawnSecret(
            kind=SecretKind.OTP_ACCESS_CODE, value=draw_bytes(ACCESS_CODE_SIZE, random)
        )
        return Drawn(secrets={self._name: code})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Whether the slot holds anything, and whether this process proved the new code."""
        if not token.otp().configured(self._slot.slot):
            reason = f"{self._slot.title} is empty: its access code went with what it held"
            return Finding(state=State.CONFLICT, reason=reason)
        if intent is None:
            return Finding(state=State.ABSENT, blind=True)
        if not intent.applied:
            return Finding(state=State.UNKNOWN, reason="whose access code it is cannot be read")
        return Finding(
            state=State.MATCH, facts={"accessCode": "proved"}, unread=("access code", "flags")
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """With the new code, or else with the old one; refused where it is neither."""
        code, old = intent.secret(self._name).reveal(), self._old.reveal()
        if not self._takes(token, code, code):
            self._update(token, code, old)
        if self._takes(token, code, old):
            raise NotVerified(
                f"token {token.id.label}: {self._slot.title} still takes its old access code",
                remedy="Run it again; if it stays so, replace the token.",
            )

    def _takes(self, token: Token, code: bytes, current: bytes) -> bool:
        try:
            self._update(token, code, current)
        except AuthenticationFailed:
            return False
        return True

    def _update(self, token: Token, code: bytes, current: bytes) -> None:
        configuration = self._slot.typing().serial_api_visible(True).serial_usb_visible(True)
        token.otp().update(self._slot.slot, configuration, code, current)
