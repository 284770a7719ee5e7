"""The FIDO2 PIN: the holder's first one, drawn and sealed."""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed, TokenConflict
from tokenprov.model import SecretKind
from tokenprov.profile.fido2 import Alphabet
from tokenprov.secret import RandomBytes, draw_text
from tokenprov.step import PROBE_RESERVE, Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.steps.fido2.policy import Policy
from tokenprov.token import Token


class PinStep:
    """The holder's first FIDO2 PIN, drawn and sealed for the help desk.

    It is the first of the FIDO2 steps, so it is here that a fresh authenticator which cannot be
    what the profile asks for is refused.
    """

    id = "fido2/pin"
    title = "FIDO2 PIN"

    def __init__(self, *, length: int, alphabet: Alphabet, policy: Policy) -> None:
        """`length` counts code points (CTAP 2.1, 6.5.1)."""
        self._length, self._alphabet, self._policy = length, alphabet, policy

    def draw(self, random: RandomBytes) -> Drawn:
        """Characters of the alphabet; none that a token with PIN complexity refuses."""
        value = draw_text(self._length, self._alphabet.characters, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=SecretKind.FIDO_PIN, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By getInfo, and with an intent by asking for a token with ours."""
        fido = token.fido2()
        if not fido.info.options.get("clientPin"):
            objections = "; ".join(self._policy.objections(fido))
            if objections:
                return Finding(state=State.CONFLICT, reason=objections)
            return Finding(state=State.ABSENT)
        if intent is None:
            return Finding(state=State.CONFLICT, reason="it has a FIDO2 PIN")
        retries, _ = fido.pin_retries()
        if retries <= PROBE_RESERVE:
            return Finding(state=State.UNKNOWN, reason="its FIDO2 PIN has too few tries left")
        try:
            fido.check_pin(intent.secret(self.id).reveal_text())
        except AuthenticationFailed as error:
            if error.retries_left is None:  # blocked until it is re-inserted
                raise
            return Finding(state=State.CONFLICT, reason="its FIDO2 PIN is not ours")
        return Finding(state=State.MATCH, facts={"length": self._length})

    def apply(self, token: Token, intent: Intent) -> None:
        """The first PIN needs no other right. One that is there and cannot be tried stays."""
        fido = token.fido2()
        if fido.info.options.get("clientPin"):
            raise TokenConflict(
                f"token {token.id.label}: its FIDO2 PIN has too few tries left to see whose it is",
                remedy="Set the token aside, or unlock it with the PIN from escrow.",
            )
        fido.set_pin(intent.secret(self.id).reveal_text())


def held_pin(token: Token) -> str:
    """The PIN that this order gave the token. Raises `TokenConflict` where it gave none."""
    held = token.keyring.get(SecretKind.FIDO_PIN)
    if held is None:
        raise TokenConflict(
            f"token {token.id.label}: a FIDO2 setting needs the PIN, and none of ours is set",
            remedy="Add a [fido2] pin to the profile.",
        )
    return held.reveal_text()
