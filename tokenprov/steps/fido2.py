"""FIDO2: the PIN, one discoverable credential at a relying party, and a forced change of the PIN.

The change is forced last: after it the PIN gives no token for anything but changing it (CTAP 2.1,
6.5.5.7), so that no credential could be made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject

from tokenprov.directory import RelyingParty
from tokenprov.errors import AuthenticationFailed, TokenConflict
from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, draw_digits
from tokenprov.step import PROBE_RESERVE, Drawn, DrawnSecret, Evidence, Finding, Intent, State
from tokenprov.token import Token

PIN_NAME = "fido2/pin"


class PinStep:
    """The holder's first FIDO2 PIN, drawn and sealed for the help desk."""

    id = PIN_NAME
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


class CredentialStep:
    """A discoverable credential, registered at a relying party and asserted once.

    The relying party's user handle is the order's own, so that making the credential again
    overwrites one that was made and not registered (CTAP 2.1, 6.1.2).
    """

    def __init__(
        self,
        *,
        relying_party: RelyingParty,
        order: str,
        user_name: str,
        display_name: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._rp, self._order = relying_party, order
        self._user_name, self._display_name = user_name, display_name
        self._clock = clock
        self.id = f"fido2/credential/{relying_party.rp_id}"
        self.title = f"credential for {relying_party.rp_id}"

    def draw(self, random: RandomBytes) -> Drawn:
        """The token draws the key itself."""
        return Drawn(public={"userHandle": self._rp.user_handle(self._order).hex()})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The registered credential signs: no touch, and with the PIN where it may be used."""
        record = self._rp.find(self._order)
        if record is None or intent is None:
            return Finding(state=State.ABSENT)
        fido = token.fido2()
        pin = None if fido.info.force_pin_change else _pin(token)
        assertion = self._rp.assertion(record, presence=False, verification=pin is not None)
        answer = fido.get_assertion(
            self._rp.rp_id, assertion.client_data_hash, record.credential_id, pin
        )
        if answer is None:
            return Finding(state=State.ABSENT)
        self._rp.complete_assertion(
            assertion, answer.auth_data, answer.signature, now=self._clock()
        )
        attestation = record.attestation
        return Finding(
            state=State.MATCH,
            facts={
                "rpId": record.rp_id,
                "credentialId": websafe_encode(record.credential_id),
                "attestation": attestation.to_json(),
                "virtual": attestation.virtual,
            },
            evidence=(Evidence(type="fido2-attestation", data=record.attestation_object),),
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """Make it, with PIN and touch, and register it."""
        registration = self._rp.registration(
            self._order, user_name=self._user_name, display_name=self._display_name
        )
        made = token.fido2().make_credential(
            registration.client_data_hash,
            registration.rp,
            registration.user,
            registration.parameters,
            _pin(token),
            f"make the {self.title}",
        )
        attestation_object = AttestationObject.create(made.fmt, made.auth_data, made.att_stmt)
        self._rp.complete_registration(registration, bytes(attestation_object), now=self._clock())


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
        token.fido2().force_pin_change(_pin(token))


def _pin(token: Token) -> str:
    held = token.keyring.get(SecretKind.FIDO_PIN)
    if held is None:
        raise TokenConflict(
            f"token {token.id.label}: a FIDO2 setting needs the PIN, and none of ours is set",
            remedy="Add a [fido2] pin to the profile.",
        )
    return held.reveal_text()
