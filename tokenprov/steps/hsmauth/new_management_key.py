"""The YubiHSM Auth management key of a token that is somebody's, made anew; the old is in escrow.

After a cut the token holds the old or the new one, and both are known. No try is spent of the last
two; a right one brings them all back. Credentials stay as they are.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed
from tokenprov.secret import Secret
from tokenprov.step import PROBE_RESERVE, Finding, Intent, State
from tokenprov.steps.hsmauth.management_key import ManagementKeyStep
from tokenprov.token import HsmAuthApplet, Token


class NewManagementKeyStep(ManagementKeyStep):
    """A drawn management key in the place of the one in escrow."""

    def __init__(self, *, old: Secret) -> None:
        self._old = old

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By changing the new one, then the old one, to itself, which changes nothing."""
        hsmauth = token.hsmauth()
        new = intent.secret(self.id) if intent is not None else None
        for key in (self._old,) if new is None else (new, self._old):
            if hsmauth.management_key_tries() <= PROBE_RESERVE:
                return Finding(
                    state=State.UNKNOWN,
                    reason=f"its {self.title} has too few tries left to be tried",
                )
            if _takes(hsmauth, key.reveal()):
                if key is new:
                    facts = {"triesLeft": hsmauth.management_key_tries()}
                    return Finding(state=State.MATCH, facts=facts)
                return Finding(state=State.ABSENT)
        return Finding(state=State.CONFLICT, reason=f"its {self.title} is not the one in escrow")

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command."""
        key = intent.secret(self.id).reveal()
        token.hsmauth().change_management_key(self._old.reveal(), key)


def _takes(hsmauth: HsmAuthApplet, key: bytes) -> bool:
    try:
        hsmauth.change_management_key(key, key)
    except AuthenticationFailed:
        return False
    return True
