"""User PIN and SO PIN of a token that is somebody's, made anew by the SO PIN that is in force.

That one is in escrow. Rules:
- Before anything is promised it is tried, unless the token says that few tries are left.
- After a cut the token holds the old or the new value, and both are known: each is tried, but never
  at the last try.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed, NotSupported
from tokenprov.secret import RandomBytes, Secret, draw_digits
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State, conflict
from tokenprov.steps.pkcs11 import access
from tokenprov.steps.pkcs11.token import SO_PIN, TokenStep
from tokenprov.steps.pkcs11.user_pin import FEW_TRIES, UserPinStep
from tokenprov.token import Token

_USER_LOCKED = frozenset({"USER_PIN_LOCKED"})


class UnblockedUserPinStep(UserPinStep):
    """A new PIN for the holder (C_InitPIN), whether or not the old one is locked."""

    title = "PKCS#11 user PIN, by the SO PIN"

    def __init__(self, *, length: int, so_pin: Secret) -> None:
        super().__init__(length=length)
        self._so_pin = so_pin

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """With an intent by trying the new one, where that spends none of the last tries."""
        applet = token.pkcs11()
        if intent is None:
            access.require_settable(token, "user PIN", self.length)
            return access.officer_refused(token, self._so_pin) or _ABSENT
        if not intent.applied and applet.info().flags & (FEW_TRIES | _USER_LOCKED):
            return _ABSENT  # set anew, it has all of its tries
        try:
            applet.log_in(intent.secret(self.id))
        except AuthenticationFailed:
            return _ABSENT
        return Finding(state=State.MATCH, facts={"length": self.length})

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command. Raises `NotSupported` for a module that lets no officer set it."""
        try:
            token.pkcs11().set_user_pin(self._so_pin, intent.secret(self.id))
        except NotSupported as error:
            raise NotSupported(
                error.message,
                remedy="Its user PIN is as it was. Replace the token if nobody knows that.",
            ) from error


class NewSoPinStep:
    """A drawn SO PIN in the place of the one in escrow (C_SetPIN)."""

    id = TokenStep.id
    title = "PKCS#11 SO PIN"

    def __init__(self, *, length: int, old: Secret) -> None:
        self._length, self._old = length, old

    def draw(self, random: RandomBytes) -> Drawn:
        """Decimal digits."""
        value = draw_digits(self._length, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=SO_PIN, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By trying the old one, then the new one: one of the two is in force."""
        if intent is None:
            access.require_settable(token, "SO PIN", self._length)
            return access.officer_refused(token, self._old) or _ABSENT
        applet, new = token.pkcs11(), intent.secret(self.id)
        values = [(self._old, _ABSENT), (new, self._match(token))]
        for value, found in reversed(values) if intent.applied else values:
            flags = applet.info().flags
            if access.LOCKED in flags:
                return conflict("its SO PIN is locked")
            if access.LAST in flags:
                reason = "its SO PIN has one try left, which is not spent"
                return conflict(reason)
            if access.is_officer(token, value):
                return found
        return conflict("its SO PIN is not the one in escrow")

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command."""
        token.pkcs11().change_so_pin(self._old, intent.secret(self.id))

    def _match(self, token: Token) -> Finding:
        facts = {"label": token.pkcs11().info().label}
        return Finding(state=State.MATCH, facts=facts)


_ABSENT = Finding(state=State.ABSENT)
