"""Another certificate for the key that is in a slot, before the present one ends.

On a token that shows no keys (a card of another maker) it is asked for the key of the present
certificate, and the request, which that key signs, proves that it is there.
"""

from __future__ import annotations

from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State, conflict
from tokenprov.steps.piv.certificate import CertificateStep
from tokenprov.steps.piv.key import KeyStep
from tokenprov.token import Token


class RenewedCertificateStep:
    """As `CertificateStep`, under a request of its own; the key stays as it is."""

    def __init__(self, step: CertificateStep, request: str) -> None:
        self._step, self._request = step, request
        self.id, self.title = step.id, step.title

    def draw(self, random: RandomBytes) -> Drawn:
        """The name of the new request."""
        return Drawn(public={**self._step.draw(random).public, "request": self._request})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Before it was promised, there is one to be renewed."""
        there = token.piv().certificate(self._step.key.slot)
        if isinstance(self._step.key, KeyStep):
            self._step.key.take_from_certificate(token)
        if intent is not None:
            return self._step.observe(token, intent)
        if there is None:
            return conflict(f"there is no {self.title} any more")
        return Finding(state=State.ABSENT)

    def apply(self, token: Token, intent: Intent) -> None:
        """Ask the issuer, and write what it gives. Needs the management key."""
        self._step.apply(token, intent)
