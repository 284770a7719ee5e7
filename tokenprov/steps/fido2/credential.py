"""A discoverable credential, registered at a relying party and asserted once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject

from tokenprov.directory import RelyingParty
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Evidence, Finding, Intent, State
from tokenprov.steps.fido2.pin import held_pin
from tokenprov.token import Token


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
        pin = None if fido.info.force_pin_change else held_pin(token)
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
            held_pin(token),
            f"make the {self.title}",
        )
        attestation_object = AttestationObject.create(made.fmt, made.auth_data, made.att_stmt)
        self._rp.complete_registration(registration, bytes(attestation_object), now=self._clock())
