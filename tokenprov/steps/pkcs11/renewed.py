"""Another certificate for a key behind a module, before the present one ends.

The new one is written beside the old one and read back; then the old one is removed. The request is
signed by the key, and what is written needs the holder's PIN: it is theirs, and is not in escrow.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State, conflict
from tokenprov.steps.pkcs11.certificate import CERTIFICATE, CertificateStep
from tokenprov.steps.pkcs11.user_pin import USER_PIN, held
from tokenprov.token import Token

LAST = "USER_PIN_FINAL_TRY"  # CK_TOKEN_INFO.flags


class RenewedModuleCertificateStep:
    """As `CertificateStep`, under a request of its own; the key stays as it is."""

    def __init__(self, step: CertificateStep, request: str) -> None:
        self._step, self._request = step, request
        self.id, self.title = step.id, step.title

    def draw(self, random: RandomBytes) -> Drawn:
        """The name of the new request."""
        return Drawn(public={**self._step.draw(random).public, "request": self._request})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Before it was promised there is one to be renewed, and the PIN is right."""
        applet = token.pkcs11()
        there = [one.value for one in applet.objects().of(CERTIFICATE, self._step.key.key_id)]
        if intent is None:
            if not there:
                return conflict(f"there is no {self.title} any more")
            if LAST in applet.info().flags:
                raise AuthenticationFailed(
                    f"token {token.id.label}: its user PIN has one try left, which is not spent",
                    remedy="Have its holder log in once, which gives the tries back; or: tokenprov"
                    " unblock.",
                )
            applet.log_in(held(token, USER_PIN))
            return Finding(state=State.ABSENT)
        new = self._step.issued(intent)
        if new is None or there != [new.der]:
            return Finding(state=State.ABSENT)
        return self._step.observe(token, intent)

    def apply(self, token: Token, intent: Intent) -> None:
        """Write the new one, look that it is there, and remove what it takes the place of."""
        self._step.apply(token, intent)
        applet, id = token.pkcs11(), self._step.key.key_id
        there = [one.value for one in applet.objects().of(CERTIFICATE, id)]
        new = self._step.issued(intent)
        if new is None or new.der not in there:
            return  # nothing is removed: it reads back as missing
        for der in there:
            if der != new.der:
                applet.remove_certificate(held(token, USER_PIN), der, id)
