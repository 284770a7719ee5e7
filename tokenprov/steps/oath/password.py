"""The OATH password, drawn and sealed for the help desk. It is proved on a selection of its own."""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed
from tokenprov.model import SecretKind
from tokenprov.secret import LETTERS_AND_DIGITS, RandomBytes, draw_text
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.steps.oath.access import unlocked
from tokenprov.token import Token


class PasswordStep:
    """The password. The token keeps a key made of it and of its own identity."""

    id = "oath/password"
    title = "OATH password"

    def __init__(self, *, length: int) -> None:
        self._length = length

    def draw(self, random: RandomBytes) -> Drawn:
        """Letters and digits that nobody takes for others."""
        value = draw_text(self._length, LETTERS_AND_DIGITS, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=SecretKind.OATH_PASSWORD, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Whether one is set, and with an intent whether it is ours, as a program would give it."""
        oath = token.oath()
        if intent is not None:
            oath.reconnect()
        if not oath.has_password:
            return Finding(state=State.ABSENT)
        if intent is None:
            return Finding(state=State.CONFLICT, reason="its OATH application has a password")
        try:
            oath.unlock(intent.secret(self.id).reveal_text())
        except AuthenticationFailed:
            return Finding(state=State.CONFLICT, reason="its OATH password is not ours")
        return Finding(state=State.MATCH, facts={"length": self._length})

    def apply(self, token: Token, intent: Intent) -> None:
        """One command."""
        unlocked(token).set_password(intent.secret(self.id).reveal_text())
