"""The OpenPGP reset code of a token that is somebody's, made anew by the admin PIN in force.

Rules:
- The old code is not needed: the admin PIN overwrites it, also one that is blocked.
- Only use proves a reset code, and sets the user PIN, which is the holder's by now. So it is not
  read back, and after a cut the same code is written again.
- The admin PIN is in escrow, or was made anew just before and is verified by then.
"""

from __future__ import annotations

from tokenprov.secret import Secret
from tokenprov.step import Finding, Intent, State, conflict
from tokenprov.steps.openpgp.access import first_that_fits
from tokenprov.steps.openpgp.pins import ADMIN, ResetCodeStep
from tokenprov.token import Token


class NewResetCodeStep(ResetCodeStep):
    """A drawn reset code in the place of whichever is there."""

    def __init__(self, *, length: int, admin_pin: Secret) -> None:
        super().__init__(length=length)
        self._admin_pin = admin_pin

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Whether the admin PIN opens it; written, whether the card has a code with tries."""
        if intent is None:
            return self._refused(token) or Finding(state=State.ABSENT, blind=True)
        if not intent.applied:
            return Finding(state=State.UNKNOWN, reason="whose reset code it is cannot be read")
        tries = token.openpgp().state().pw_status.attempts_reset
        if tries == 0:
            return conflict("it has no OpenPGP reset code after it was told one")
        facts = {"length": self.length, "triesLeft": tries}
        return Finding(state=State.MATCH, facts=facts, unread=("reset code",))

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command, which gives the code all of its tries."""
        openpgp = token.openpgp()
        if not openpgp.admin_verified:
            openpgp.verify_admin(self._admin_pin.reveal_text())
        openpgp.set_reset_code(intent.secret(self.id).reveal_text())

    def _refused(self, token: Token) -> Finding | None:
        openpgp = token.openpgp()
        if openpgp.admin_verified:
            return None
        candidates = [self._admin_pin.reveal_text()]
        found, tried = first_that_fits(openpgp.verify_admin, candidates, ADMIN.tries(openpgp))
        if found is not None:
            return None
        if tried:
            return conflict(f"its {ADMIN.title} is not the one in escrow")
        reason = f"its {ADMIN.title} has too few tries left to be tried"
        return Finding(state=State.UNKNOWN, reason=reason)
