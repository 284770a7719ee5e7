"""Tries, PIN and PUK: the PIV reference data of the holder (SP 800-73-4 part 2, 3.2).

Where metadata tells whether a value is the factory's, nothing is probed that could cost a try.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed
from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, draw_digits
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State, conflict
from tokenprov.steps.piv.access import (
    affordable,
    authenticate,
    factory_pin,
    factory_puk,
    verify_pin,
)
from tokenprov.token import PivApplet, Token

SHORT_TRIES_CAP = 15  # 63Cx counts in four bits


class TriesStep:
    """How often PIN and PUK may be wrong. Setting it puts both back to the factory's."""

    id = "piv/tries"
    title = "PIN and PUK tries"

    def __init__(self, *, pin: int, puk: int) -> None:
        self._pin, self._puk = pin, puk

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing secret."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Totals by metadata; without it, the PIN's tries left on a fresh session."""
        piv = token.piv()
        pin, puk = piv.pin_tries(), piv.puk_tries()
        if pin.remaining == 0:
            return conflict("its PIN is blocked: whoever has its PUK can unblock it")
        if not piv.has_extensions:
            reason = "a PIV card keeps the numbers of tries that its maker set"
            facts = {"pinTriesLeft": pin.remaining}
            return Finding(state=State.SKIPPED, reason=reason, facts=facts, unread=("PUK tries",))
        if pin.total is None or puk.total is None:
            facts = {"pinTriesLeft": pin.remaining}
            # as many as wanted may be the factory's own number: what was promised decides
            written = intent is not None and (
                intent.applied or token.keyring.get(SecretKind.PIV_PIN) is not None
            )
            if written and pin.remaining == min(self._pin, SHORT_TRIES_CAP):
                return Finding(state=State.MATCH, facts=facts, unread=("PUK tries",))
            return Finding(state=State.ABSENT, facts=facts)
        facts = {"pinTries": pin.total, "pukTries": puk.total}
        if (pin.total, puk.total) == (self._pin, self._puk):
            return Finding(state=State.MATCH, facts=facts)
        if piv.has_fingerprints():  # the YubiKey Bio has no command to set them
            reason = "a token with a fingerprint reader keeps its own numbers of tries"
            return Finding(state=State.SKIPPED, reason=reason, facts=facts)
        if intent is None and not (pin.is_default and puk.is_default):
            return conflict("its PIN or PUK is not the factory's")
        return Finding(state=State.ABSENT, facts=facts)

    def apply(self, token: Token, intent: Intent) -> None:
        """Needs the PIN and the management key that are in force."""
        verify_pin(token)
        authenticate(token)
        token.piv().set_tries(self._pin, self._puk)


class PinStep:
    """The holder's first PIN, drawn and sealed for the help desk."""

    id = "piv/pin"
    title = "PIV PIN"

    def __init__(self, *, length: int, published: str | None = None) -> None:
        """`published`: what cards of another maker came with, where it is not the usual value."""
        self.length, self._published = length, published

    def draw(self, random: RandomBytes) -> Drawn:
        """Decimal digits."""
        value = draw_digits(self.length, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=SecretKind.PIV_PIN, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By metadata, and with an intent by verifying ours."""
        piv = token.piv()
        _publish(token, SecretKind.PIV_PIN, self._published)
        tries = piv.pin_tries()
        facts = {"length": self.length}
        if tries.is_default is True:
            return Finding(state=State.ABSENT)
        if intent is None and tries.is_default is False:
            return conflict("its PIN is not the factory's")
        remaining = tries.remaining
        if intent is not None:
            if not affordable(remaining):
                return _unaffordable("PIN")
            try:
                piv.verify_pin(intent.secret(self.id).reveal_text())
            except AuthenticationFailed as error:
                remaining = error.retries_left
            else:
                return Finding(state=State.MATCH, facts=facts)
            if tries.is_default is False:
                return conflict("its PIN is neither the factory's nor ours")
        if not affordable(remaining):
            return _unaffordable("PIN")
        try:
            piv.verify_pin(factory_pin(token))
        except AuthenticationFailed:
            return conflict("its PIN is not the factory's")
        return Finding(state=State.ABSENT, blind=True)

    def apply(self, token: Token, intent: Intent) -> None:
        """From the factory's to ours, in one command."""
        token.piv().change_pin(factory_pin(token), intent.secret(self.id).reveal_text())


class PukStep:
    """The PUK, drawn and sealed for the help desk."""

    id = "piv/puk"
    title = "PIV PUK"

    def __init__(self, *, length: int, published: str | None = None) -> None:
        """`published`: what cards of another maker came with, where it is not the usual value."""
        self.length, self._published = length, published

    def draw(self, random: RandomBytes) -> Drawn:
        """Decimal digits."""
        value = draw_digits(self.length, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=SecretKind.PIV_PUK, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By metadata, and with an intent by changing ours to ours, which changes nothing."""
        piv = token.piv()
        _publish(token, SecretKind.PIV_PUK, self._published)
        tries = piv.puk_tries()
        if tries.is_default is True:
            return Finding(state=State.ABSENT)
        if intent is None:
            if tries.is_default is False:
                return conflict("its PUK is not the factory's")
            # no command of the standard tells; changing it from the factory's will
            return Finding(state=State.ABSENT, unread=("PUK",), blind=True)
        if not affordable(tries.remaining):
            return _unaffordable("PUK")
        puk = intent.secret(self.id).reveal_text()
        refused = refusal_of_puk(piv, puk)
        if refused is None:
            return Finding(state=State.MATCH, facts={"length": self.length})
        if tries.is_default is None:
            if not affordable(refused.retries_left):
                return _unaffordable("PUK")
            if refusal_of_puk(piv, factory_puk(token)) is None:
                return Finding(state=State.ABSENT)
        return conflict("its PUK is neither the factory's nor ours")

    def apply(self, token: Token, intent: Intent) -> None:
        """From the factory's to ours, in one command."""
        token.piv().change_puk(factory_puk(token), intent.secret(self.id).reveal_text())


def refusal_of_puk(piv: PivApplet, puk: str) -> AuthenticationFailed | None:
    """None if this is the PUK: changing it to itself says so (and costs a try if not)."""
    try:
        piv.change_puk(puk, puk)
    except AuthenticationFailed as error:
        return error
    return None


def _publish(token: Token, kind: SecretKind, value: str | None) -> None:
    """On a card of another maker; a YubiKey comes with the usual value."""
    if value is not None and not token.piv().has_extensions:
        token.keyring.published[kind] = value


def _unaffordable(what: str) -> Finding:
    return Finding(state=State.UNKNOWN, reason=f"its {what} has too few tries left to be tried")
