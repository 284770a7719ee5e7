"""The OATH password of a token that is somebody's, made anew; the value in force is in escrow.

No tries are counted, so trying costs nothing: after a cut the new one is tried first, then the old.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed, TokenConflict
from tokenprov.secret import Secret
from tokenprov.step import Finding, Intent, State
from tokenprov.steps.oath.password import PasswordStep
from tokenprov.token import OathApplet, Token


class NewPasswordStep(PasswordStep):
    """A drawn password in the place of the one in escrow; the accounts stay."""

    def __init__(self, *, length: int, old: Secret) -> None:
        super().__init__(length=length)
        self._length, self._old = length, old

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """On a selection of its own, as a program would give it."""
        oath = token.oath()
        oath.reconnect()
        if not oath.has_password:
            return Finding(state=State.CONFLICT, reason="its OATH application has no password")
        if intent is not None and _opens(oath, intent.secret(self.id)):
            return Finding(state=State.MATCH, facts={"length": self._length})
        if _opens(oath, self._old):
            return Finding(state=State.ABSENT)
        return Finding(state=State.CONFLICT, reason="its OATH password is not the one in escrow")

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command, behind the old one."""
        oath = token.oath()
        if oath.locked and not _opens(oath, self._old):
            raise TokenConflict(
                f"token {token.id.label}: its OATH password is not the one in escrow",
                remedy="Look whose it is: tokenprov token audit.",
            )
        oath.set_password(intent.secret(self.id).reveal_text())


def _opens(oath: OathApplet, password: Secret) -> bool:
    try:
        oath.unlock(password.reveal_text())
    except AuthenticationFailed:
        return False
    return True
