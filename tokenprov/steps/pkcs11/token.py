"""The token made new: its label, and an SO PIN of its own (C_InitToken; PKCS #11 3.1, 5.5.8).

A blank token takes the SO PIN with its first initialisation. One that was delivered initialised has
the SO PIN that its maker published: it is initialised again with that, which empties it, and then
gets its own. Cut off in between it is still delivered, and done again.
"""

from __future__ import annotations

from tokenprov.model import SecretKind
from tokenprov.pkcs11 import TokenInfo
from tokenprov.secret import RandomBytes, draw_digits
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State, conflict
from tokenprov.steps.pkcs11 import access
from tokenprov.steps.pkcs11.erased import known_so_pin
from tokenprov.token import Token

SO_PIN = SecretKind.PKCS11_SO_PIN


class TokenStep:
    """The token by its label and SO PIN."""

    id = "pkcs11/token"
    title = "PKCS#11 token and its SO PIN"

    def __init__(self, *, label: str, length: int, published: str | None) -> None:
        """`published` is the SO PIN that tokens are delivered with, None where they are blank."""
        self._label, self._length, self._published = label, length, published

    def draw(self, random: RandomBytes) -> Drawn:
        """Decimal digits."""
        value = draw_digits(self._length, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=SO_PIN, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Blank, delivered, or with the sealed SO PIN, which is tried, but never at the last."""
        applet = token.pkcs11()
        info = applet.info()
        if intent is None:
            access.require_settable(token, "SO PIN", self._length)
        if not info.initialised:
            return Finding(state=State.ABSENT)
        if access.LOCKED in info.flags:
            return conflict("its SO PIN is locked")
        if intent is not None:
            if info.flags & access.FEW_TRIES:
                return _unaffordable()
            if access.is_officer(token, intent.secret(self.id)):
                return self._ours(info)
            info = applet.info()
        return self._delivered(token, info)

    def _ours(self, info: TokenInfo) -> Finding:
        if info.label != self._label:
            return conflict(f"its label is {info.label!r}, not {self._label!r}")
        return Finding(state=State.MATCH, facts={"label": info.label})

    def _delivered(self, token: Token, info: TokenInfo) -> Finding:
        known = known_so_pin(token, self._published)
        if known is None:
            return conflict("it is initialised already, and the profile names no published SO PIN")
        if info.flags & access.FEW_TRIES:
            return _unaffordable()
        if not access.is_officer(token, known):
            return conflict("its SO PIN is not the one that its maker published")
        return Finding(state=State.ABSENT)

    def apply(self, token: Token, intent: Intent) -> None:
        """Initialise it; on a delivered one change the SO PIN after that."""
        applet, ours = token.pkcs11(), intent.secret(self.id)
        if not applet.info().initialised:
            applet.initialise(self._label, ours)
            return
        known = known_so_pin(token, self._published)
        assert known is not None  # or it was no token to write to
        applet.initialise(self._label, known)
        applet.change_so_pin(known, ours)


def _unaffordable() -> Finding:
    return Finding(state=State.UNKNOWN, reason="its SO PIN has too few tries left to be tried")
