"""The FIDO2 PIN, and a forced change of it.

The change is forced last: after it the PIN gives no token for anything but changing it (CTAP 2.1,
6.5.5.7), so that no credential could be made.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed, TokenConflict
from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, draw_digits
from tokenprov.step import PROBE_RESERVE, Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.token import Token


class PinStep:
    """The holder's first FIDO2 PIN, drawn and sealed for the help desk."""

    id = "fido2/pin"
    title = "FIDO2 PIN"

    def __init__(self, *, length: int) -> None:
        self._length = length

    def draw(self, random: RandomBytes) -> Drawn:
        """Decimal digits."""
        value = draw_digits(self._length, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=SecretKind.FIDO_PIN, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By getInfo, and with an intent by asking for a token with ours."""
        fido = token.fido2()
        if not fido.info.options.get("clientPin"):
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
        """The first PIN needs no other right."""
        token.fido2().set_pin(intent.secret(self.id).reveal_text())


class ForcePinChangeStep:
    """The holder must change the PIN before its first use."""

    id = "fido2/force-pin-change"
    title = "FIDO2 PIN change"

    def __init__(self, *, required: bool) -> None:
        self._required = required

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By getInfo."""
        fido = token.fido2()
        if fido.info.force_pin_change:
            return Finding(state=State.MATCH, facts={"forced": True})
        if fido.can_force_pin_change():
            return Finding(state=State.ABSENT)
        if self._required:
            return Finding(state=State.CONFLICT, reason="it cannot force a change of the FIDO2 PIN")
        return Finding(
            state=State.SKIPPED, reason="the token cannot force a change of the FIDO2 PIN"
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """Needs the PIN."""
        token.fido2().force_pin_change(held_pin(token))


def held_pin(token: Token) -> str:
    """The PIN that this order gave the token. Raises `TokenConflict` where it gave none."""
    held = token.keyring.get(SecretKind.FIDO_PIN)
    if held is None:
        raise TokenConflict(
            f"token {token.id.label}: a FIDO2 setting needs the PIN, and none of ours is set",
            remedy="Add a [fido2] pin to the profile.",
        )
    return held.reveal_text()
