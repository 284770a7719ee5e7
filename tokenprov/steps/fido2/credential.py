"""A discoverable credential, registered at a relying party and asserted once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject

from tokenprov.attestation import FidoAttestation
from tokenprov.directory import CredentialRecord, RelyingParty
from tokenprov.errors import AttestationError, NotVerified, TokenConflict
from tokenprov.meanwhile import Meanwhile
from tokenprov.model import Json
from tokenprov.profile.fido2 import Demand, Protection
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Evidence, Finding, Intent, State
from tokenprov.steps.fido2.pin import held_pin
from tokenprov.steps.fido2.policy import CRED_PROTECT, HMAC_SECRET, MIN_PIN_LENGTH, no_room
from tokenprov.token import FidoApplet, Token


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the credential is to be; `tells_minimum`: its relying party may read the least length
    of the PIN. `still` counts it and the credentials that come after it.
    """

    user_name: str
    display_name: str
    protection: Protection = Protection.DEFAULT
    hmac_secret: Demand = Demand.NO
    enterprise: bool = False
    tells_minimum: bool = False
    still: int = 1

    def extensions(self, fido: FidoApplet) -> dict[str, Any]:
        """What makeCredential is asked for beside the credential (CTAP 2.1, 12)."""
        asked: dict[str, Any] = {}
        if self.protection.level is not None:
            asked[CRED_PROTECT] = self.protection.level
        if self.hmac_secret is not Demand.NO and HMAC_SECRET in fido.info.extensions:
            asked[HMAC_SECRET] = True
        if self.tells_minimum and MIN_PIN_LENGTH in fido.info.extensions:
            asked[MIN_PIN_LENGTH] = True
        return asked


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
        wanted: Wanted,
        clock: Callable[[], datetime],
    ) -> None:
        self._rp, self._order, self._wanted = relying_party, order, wanted
        self._clock = clock
        self.id = f"fido2/credential/{relying_party.rp_id}"
        self.title = f"credential for {relying_party.rp_id}"

    def draw(self, random: RandomBytes) -> Drawn:
        """The token draws the key itself."""
        return Drawn(public={"userHandle": self._rp.user_handle(self._order).hex()})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The registered credential signs: no touch, and with the PIN where it may be used.

        What it is bound to the serial by: its id, the AAGUID, and the serial where the attestation
        names it.
        """
        record = self._rp.find(self._order)
        if record is None or intent is None:
            return Finding(state=State.ABSENT)
        facts = _facts(record)
        evidence = (
            Evidence(type="fido2-attestation", data=record.attestation_object),
            Evidence(type="fido2-client-data", data=record.client_data),
        )
        fido = token.fido2()
        pin = None if fido.info.force_pin_change else held_pin(token)
        if pin is None and self._wanted.protection is Protection.REQUIRED and record.asserted:
            return Finding(
                state=State.MATCH, facts=facts, unread=("that it signs now",), evidence=evidence
            )
        assertion = self._rp.assertion(record, presence=False, verification=pin is not None)
        answer = fido.get_assertion(
            self._rp.rp_id, assertion.client_data_hash, record.credential_id, pin
        )
        if answer is None:
            return Finding(state=State.ABSENT)
        self._rp.complete_assertion(
            assertion, answer.auth_data, answer.signature, now=self._clock()
        )
        return Finding(state=State.MATCH, facts=facts, evidence=evidence)

    def apply(self, token: Token, intent: Intent) -> None:
        """Make it, with PIN and touch, and register it."""
        fido, pin = token.fido2(), held_pin(token)
        with Meanwhile() as meanwhile:
            begun = meanwhile(
                lambda: self._rp.registration(
                    self._order,
                    user_name=self._wanted.user_name,
                    display_name=self._wanted.display_name,
                )
            )
            self._check_room(token, fido, pin)
            registration = begun.result()
        asked = self._wanted.extensions(fido)
        made = fido.make_credential(
            registration.client_data_hash,
            registration.rp,
            registration.user,
            registration.parameters,
            pin,
            f"make the {self.title}",
            extensions=asked,
            enterprise=self._wanted.enterprise,
        )
        self._check_extensions(asked, made.auth_data.extensions or {})
        attestation_object = AttestationObject.create(made.fmt, made.auth_data, made.att_stmt)
        self._rp.complete_registration(
            registration,
            bytes(attestation_object),
            now=self._clock(),
            accept=lambda attestation: self._check_token(token, attestation),
        )

    def _check_room(self, token: Token, fido: FidoApplet, pin: str) -> None:
        """Before the touch: this one and those after it fit, or none is begun."""
        room = fido.room(pin)
        if room is None or room >= self._wanted.still:
            return
        handle = self._rp.user_handle(self._order)
        there = any(user == handle for user, _ in fido.discoverable(self._rp.rp_id, pin))
        if room + there < self._wanted.still:
            raise TokenConflict(
                f"token {token.id.label}: {no_room(room, self._wanted.still)}",
                remedy="Use another token, or a profile with fewer credentials.",
            )

    def _check_extensions(self, asked: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """What the token says under its signature that the credential is."""
        for name, value in asked.items():
            answer = given.get(name)
            kept = answer is True if name == HMAC_SECRET else answer is not None
            if name == CRED_PROTECT:
                kept = isinstance(answer, int) and answer >= value
            if not kept:
                raise NotVerified(
                    f"the {self.title} was made without {name}",
                    remedy="Use another token, or take it out of the profile.",
                )

    def _check_token(self, token: Token, attestation: FidoAttestation) -> None:
        """The attestation is by the token in hand, as far as it names one."""
        aaguid, serial = str(token.fido2().info.aaguid), token.id.serial
        named = None if attestation.serial is None else str(attestation.serial)
        remedy = "Set the token aside: what made the credential is not what is in the reader."
        if attestation.aaguid != aaguid:
            raise AttestationError(
                f"the {self.title} attests AAGUID {attestation.aaguid}, the token says {aaguid}",
                remedy=remedy,
            )
        if named is not None and serial is not None and named != serial:
            raise AttestationError(
                f"the {self.title} attests serial {named}, the token says {serial}", remedy=remedy
            )
        if self._wanted.enterprise and named is None:
            raise AttestationError(
                f"the {self.title} was to attest the token's serial, and its attestation"
                f" ({attestation.grade}) names none",
                remedy="Add the maker's root to trust/, or use a token for enterprises.",
            )


def _facts(record: CredentialRecord) -> dict[str, Json]:
    attestation = record.attestation
    facts: dict[str, Json] = {
        "rpId": record.rp_id,
        "credentialId": websafe_encode(record.credential_id),
        "attestation": attestation.to_json(),
        "virtual": attestation.virtual,
    }
    given = AttestationObject(record.attestation_object).auth_data.extensions or {}
    if CRED_PROTECT in given:
        facts["protection"] = given[CRED_PROTECT]
    if HMAC_SECRET in given:
        facts["hmacSecret"] = given[HMAC_SECRET]
    if MIN_PIN_LENGTH in given:
        facts["minimumPinLength"] = given[MIN_PIN_LENGTH]
    return facts
