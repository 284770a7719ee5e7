"""The OpenPGP admin PIN of a token that is somebody's, made anew; the value in force is in escrow.

After a cut the card holds the old or the new one, and both are known. No try is spent of the last
two; a right one brings all its tries back.
"""

from __future__ import annotations

from tokenprov.secret import Secret
from tokenprov.step import Finding, Intent, State
from tokenprov.steps.openpgp.access import first_that_fits
from tokenprov.steps.openpgp.pins import ADMIN, PinStep
from tokenprov.token import Token


class NewAdminPinStep(PinStep):
    """A drawn admin PIN in the place of the one in escrow."""

    id = ADMIN.id

    def __init__(self, *, length: int, old: Secret) -> None:
        super().__init__(ADMIN, length=length)
        self._old = old

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By verifying the new one, then the old one."""
        openpgp, old = token.openpgp(), self._old.reveal_text()
        new = intent.secret(self.id).reveal_text() if intent is not None else None
        candidates = [old] if new is None else [new, old]
        found, tried = first_that_fits(openpgp.verify_admin, candidates, ADMIN.tries(openpgp))
        if found is not None and found == new:
            return Finding(state=State.MATCH, facts={"length": len(found)})
        if found is not None:
            return Finding(state=State.ABSENT)
        if not tried:
            return Finding(
                state=State.UNKNOWN, reason=f"its {self.title} has too few tries left to be tried"
            )
        return Finding(state=State.CONFLICT, reason=f"its {self.title} is not the one in escrow")

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command."""
        token.openpgp().change_admin(self._old.reveal_text(), intent.secret(self.id).reveal_text())
