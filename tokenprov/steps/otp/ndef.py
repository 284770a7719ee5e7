"""What a telephone gets by NFC: a URI or a text, with what the slot types after it.

It is written to the slot that it is for, with that slot's access code, and read by NFC alone.
"""

from __future__ import annotations

from yubikit.yubiotp import NDEF_TYPE

from tokenprov.model import Json, SecretKind
from tokenprov.profile.ndef import Ndef
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.otp.slot import access_code_name
from tokenprov.token import Token


class NdefStep:
    """The NDEF record."""

    id = "otp/ndef"
    title = "NDEF"

    def __init__(self, settings: Ndef, *, kept: bool, after_swap: bool) -> None:
        """`kept`: no step writes the slot, it holds what the factory put there, if anything."""
        self._slot, self._value = settings.slot, settings.value
        self._kept, self._after_swap = kept, after_swap
        self._kind = NDEF_TYPE.URI if settings.uri is not None else NDEF_TYPE.TEXT

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing is drawn."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Every token has some record, and none can be read here."""
        otp = token.otp()
        if intent is None:
            now_in = 1 if self._after_swap and not otp.configured(2) else self._slot
            if self._kept and not otp.configured(now_in):
                return Finding(state=State.SKIPPED, reason=f"OTP slot {now_in} is empty")
            return Finding(state=State.ABSENT, blind=True)
        if not otp.configured(self._slot):
            return Finding(state=State.CONFLICT, reason=f"OTP slot {self._slot} is empty")
        if not intent.applied:
            return Finding(state=State.UNKNOWN, reason="NDEF cannot be read over this interface")
        facts: dict[str, Json] = {"slot": self._slot, self._kind.name.lower(): self._value}
        return Finding(state=State.MATCH, facts=facts, unread=("NDEF record",))

    def apply(self, token: Token, intent: Intent) -> None:
        """One command; a second one writes the same."""
        code = token.keyring.named(SecretKind.OTP_ACCESS_CODE, access_code_name(self._slot))
        token.otp().set_ndef(
            self._slot, self._kind, self._value, code.reveal() if code is not None else None
        )
