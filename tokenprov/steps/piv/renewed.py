"""Another certificate for the key that is in a slot, before the present one ends."""

from __future__ import annotations

from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.piv.certificate import CertificateStep
from tokenprov.steps.piv.slot_key import conflict
from tokenprov.token import Token


class RenewedCertificateStep:
    """As `CertificateStep`, under a request of its own; the key stays as it is."""

    def __init__(self, step: CertificateStep, request: str) -> None:
        self._step, self._request = step, request
        self.id, self.title = step.id, step.title

    def draw(self, random: RandomBytes) -> Drawn:
        """The name of the new request."""
        return Drawn(public={"request": self._request})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Before it was promised, there is one to be renewed."""
        if intent is not None:
            return self._step.observe(token, intent)
        if self._step.observe(token, None).state is State.ABSENT:
            return conflict(f"there is no {self.title} any more")
        return Finding(state=State.ABSENT)

    def apply(self, token: Token, intent: Intent) -> None:
        """Ask the issuer, and write what it gives. Needs the management key."""
        self._step.apply(token, intent)
