"""Tries, PINs, reset code and how long the user PIN is good for (OPGP 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from yubikit.openpgp import DEFAULT_ADMIN_PIN, DEFAULT_USER_PIN

from tokenprov.errors import AuthenticationFailed
from tokenprov.model import Json, SecretKind
from tokenprov.secret import RandomBytes, draw_digits
from tokenprov.step import PROBE_RESERVE, Drawn, DrawnSecret, Finding, Intent, State, conflict
from tokenprov.steps.openpgp.access import first_that_fits, verify_admin
from tokenprov.token import OpenPgpApplet, Token
from tokenprov.token.openpgp import PIN_POLICY


class TriesStep:
    """How often each may be wrong. No value changes by it, but on firmware before 4 (not here)."""

    id = "openpgp/tries"
    title = "OpenPGP tries"

    def __init__(self, *, user: int, reset: int, admin: int, with_reset_code: bool) -> None:
        self._user, self._reset, self._admin = user, reset, admin
        self._with_reset_code = with_reset_code

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing is drawn."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The card tells the tries that are left; after a right PIN those are all."""
        status = token.openpgp().state().pw_status
        facts: dict[str, Json] = {
            "userPinTriesLeft": status.attempts_user,
            "adminPinTriesLeft": status.attempts_admin,
        }
        for name, left in (("user", status.attempts_user), ("admin", status.attempts_admin)):
            if left == 0:
                return conflict(f"its OpenPGP {name} PIN is blocked")
        if (status.attempts_user, status.attempts_admin) != (self._user, self._admin):
            return Finding(state=State.ABSENT, facts=facts)
        if status.attempts_reset not in (0, self._reset):  # 0: there is no reset code yet
            return Finding(state=State.ABSENT, facts=facts)
        if self._with_reset_code and intent is None and status.attempts_reset == 0:
            return Finding(state=State.ABSENT, facts=facts, blind=True)
        unread = ("reset code tries",) if self._with_reset_code else ()
        return Finding(state=State.MATCH, facts=facts, unread=unread)

    def apply(self, token: Token, intent: Intent) -> None:
        """One command, with the admin PIN."""
        verify_admin(token)
        token.openpgp().set_tries(self._user, self._reset, self._admin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """One of the two PINs that have a factory value, and how the card is asked about it."""

    id: str
    title: str
    kind: SecretKind
    factory: str
    verify: Callable[[OpenPgpApplet, str], None]
    change: Callable[[OpenPgpApplet, str, str], None]
    tries: Callable[[OpenPgpApplet], int]


ADMIN = Which(  # what changes the card
    id="openpgp/admin-pin",
    title="OpenPGP admin PIN",
    kind=SecretKind.OPENPGP_ADMIN_PIN,
    factory=DEFAULT_ADMIN_PIN,
    verify=lambda openpgp, pin: openpgp.verify_admin(pin),
    change=lambda openpgp, old, new: openpgp.change_admin(old, new),
    tries=lambda openpgp: openpgp.state().pw_status.attempts_admin,
)
USER = Which(  # the holder's first
    id="openpgp/user-pin",
    title="OpenPGP user PIN",
    kind=SecretKind.OPENPGP_USER_PIN,
    factory=DEFAULT_USER_PIN,
    verify=lambda openpgp, pin: openpgp.verify_user(pin),
    change=lambda openpgp, old, new: openpgp.change_user(old, new),
    tries=lambda openpgp: openpgp.state().pw_status.attempts_user,
)


class PinStep:
    """A PIN, drawn and sealed: the admin's for the administrators, the user's for the help desk."""

    def __init__(self, which: Which, *, length: int) -> None:
        self._which, self._length = which, length
        self.id, self.title = which.id, which.title

    def draw(self, random: RandomBytes) -> Drawn:
        """Decimal digits."""
        value = draw_digits(self._length, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=self._which.kind, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By verifying ours, then the factory's."""
        openpgp, which = token.openpgp(), self._which
        ours = intent.secret(self.id).reveal_text() if intent is not None else None
        found, tried = first_that_fits(
            lambda pin: which.verify(openpgp, pin),
            [which.factory] if ours is None else [ours, which.factory],
            which.tries(openpgp),
        )
        if found is not None and found == ours:
            return Finding(state=State.MATCH, facts={"length": self._length})
        if found is not None:
            return Finding(state=State.ABSENT, blind=True)
        if not tried:
            return Finding(
                state=State.UNKNOWN, reason=f"its {self.title} has too few tries left to be tried"
            )
        whose = "the factory's" if ours is None else "the factory's, nor ours"
        return conflict(f"its {self.title} is not {whose}")

    def apply(self, token: Token, intent: Intent) -> None:
        """From the factory's to ours, in one command."""
        pin = intent.secret(self.id).reveal_text()
        self._which.change(token.openpgp(), self._which.factory, pin)


class ResetCodeStep:
    """What brings back a blocked user PIN, without the admin PIN; sealed for the help desk.

    It is proved by use: the user PIN is set to what it is. So it comes after the user PIN.
    """

    id = "openpgp/reset-code"
    title = "OpenPGP reset code"

    def __init__(self, *, length: int) -> None:
        self.length = length

    def draw(self, random: RandomBytes) -> Drawn:
        """Decimal digits."""
        value = draw_digits(self.length, random)
        kind = SecretKind.OPENPGP_RESET_CODE
        return Drawn(secrets={self.id: DrawnSecret(kind=kind, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Without tries there is no reset code."""
        openpgp = token.openpgp()
        tries = openpgp.state().pw_status.attempts_reset
        if tries == 0:
            return Finding(state=State.ABSENT)
        if intent is None:
            return conflict("it has an OpenPGP reset code")
        pin = token.keyring.get(SecretKind.OPENPGP_USER_PIN)
        if tries <= PROBE_RESERVE or pin is None:
            return Finding(
                state=State.UNKNOWN, reason="its OpenPGP reset code has too few tries to be tried"
            )
        try:
            openpgp.reset_user_pin(intent.secret(self.id).reveal_text(), pin.reveal_text())
        except AuthenticationFailed:
            return conflict("its OpenPGP reset code is not ours")
        return Finding(state=State.MATCH, facts={"length": self.length, "triesLeft": tries})

    def apply(self, token: Token, intent: Intent) -> None:
        """One command, with the admin PIN."""
        verify_admin(token)
        token.openpgp().set_reset_code(intent.secret(self.id).reveal_text())


class SignaturePinStep:
    """Whether the user PIN is good for one signature or for all until the token is taken out."""

    id = "openpgp/signature-pin"
    title = "OpenPGP signature PIN policy"

    def __init__(self, policy: PIN_POLICY) -> None:
        self._policy = policy

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing is drawn."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The first of the status bytes (OPGP 4.4.1, DO C4)."""
        there = token.openpgp().state().pw_status.pin_policy_user
        facts: dict[str, Json] = {"policy": there.name.lower()}
        state = State.MATCH if there is self._policy else State.ABSENT
        return Finding(state=state, facts=facts)

    def apply(self, token: Token, intent: Intent) -> None:
        """One command, with the admin PIN."""
        verify_admin(token)
        token.openpgp().set_signature_pin(self._policy)
