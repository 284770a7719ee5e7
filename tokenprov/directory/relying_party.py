"""A relying party of the station's own: registers credentials and checks that they work.

It takes the place of the browser as well as that of the server: it makes the client data itself,
for the origin https://<relying party id>, and hands out what CTAP's commands take.

Rules (WebAuthn Level 2):
- A challenge is 32 random bytes and serves one ceremony (13.4.3).
- The user handle is 32 bytes, always the same for an order: an authenticator that is asked again
  overwrites the credential (CTAP 2.1, 6.1.2), so that a registration that was cut off is simply
  repeated. It is a digest of the order's id and tells nothing about the holder (14.6.1). For the
  same reason no credentials are excluded.
- Registration: 7.1, by fido2's server, with user verification; the key has an algorithm that was
  offered; the attestation is verified and graded, and one that is wrong is refused.
- Assertion: 7.2, with presence and verification as they were asked for. An assertion without
  presence ("up": false) proves possession of the key and no more. A counter that is not above the
  last one, both zero excepted, means a copy (7.2, step 21); without presence it may stand still,
  because not every authenticator counts those.
- A credential is on the disk before it is handed out. One that was removed or suspended since an
  assertion was begun is not accepted.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestationConveyancePreference,
    AuthenticatorAttestationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from tokenprov.attestation import Anchors, FidoAttestation, verify_fido_attestation
from tokenprov.attestation.fido import parse_attestation_object
from tokenprov.directory.credential import CredentialFolder, CredentialRecord
from tokenprov.errors import EvidenceError, InputError
from tokenprov.secret import RandomBytes

CHALLENGE_LENGTH = 32  # bytes
MAX_NAME = 64  # bytes that an authenticator must be able to keep, CTAP 2.1, 6.1
ALGORITHMS = (-7, -8, -35)  # ES256, EdDSA, ES384 (IANA COSE), as preferred

_HANDLE_DOMAIN = b"tokenprov user handle v1\0"
_RP_ID = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)
_REMEDY = "Nothing was recorded. Run the same command again; if it repeats, set the token aside."


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A registration that was begun: what authenticatorMakeCredential takes (CTAP 2.1, 6.1)."""

    order_id: str
    rp: Mapping[str, Any]
    user: Mapping[str, Any]
    parameters: list[Mapping[str, Any]]
    client_data: CollectedClientData
    state: Mapping[str, Any]  # of fido2's server

    @property
    def client_data_hash(self) -> bytes:
        """SHA-256 of the client data, 32 bytes."""
        return self.client_data.hash

    @property
    def user_handle(self) -> bytes:
        """What names the holder at this relying party, 32 bytes."""
        handle: bytes = self.user["id"]
        return handle


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """An assertion that was begun: what authenticatorGetAssertion takes (CTAP 2.1, 6.2)."""

    rp_id: str
    credential_id: bytes
    client_data: CollectedClientData
    presence: bool  # whether the holder must touch
    verification: bool  # whether the holder must give the PIN
    credential: CredentialRecord

    @property
    def client_data_hash(self) -> bytes:
        """SHA-256 of the client data, 32 bytes."""
        return self.client_data.hash


@lru_cache(maxsize=16)
def _server(rp_id: str, rp_name: str) -> Fido2Server:
    """fido2's server of a relying party, made once: it holds no state, and any thread may ask."""
    server = Fido2Server(
        PublicKeyCredentialRpEntity(id=rp_id, name=rp_name),
        attestation=AttestationConveyancePreference.NONE,  # it is judged here, not there
        verify_origin=lambda origin: origin == f"https://{rp_id}",
    )
    server.allowed_algorithms = [
        offered for offered in server.allowed_algorithms if offered.alg in ALGORITHMS
    ]
    return server


class RelyingParty:
    """A relying party with its credentials in a folder, one file an order."""

    def __init__(
        self,
        folder: Path,
        rp_id: str,
        rp_name: str,
        *,
        anchors: Anchors,
        random: RandomBytes = os.urandom,
    ) -> None:
        """`rp_id` is a domain, in lower case. Raises `InputError` where it is none."""
        if not _RP_ID.fullmatch(rp_id):
            raise InputError(
                f"{rp_id!r} is not a domain that can identify a relying party",
                remedy="Write it as in login.example.com: no scheme, port or path, lower case.",
            )
        self.rp_id, self.rp_name = rp_id, rp_name
        self.origin = f"https://{rp_id}"
        self._anchors, self._random = anchors, random
        self._records = CredentialFolder(folder, rp_id)
        self._server = _server(rp_id, rp_name)

    def user_handle(self, order_id: str) -> bytes:
        """The handle of an order's holder here, 32 bytes: always the same."""
        name = f"{self.rp_id}\0{order_id}".encode()
        return hashlib.sha256(_HANDLE_DOMAIN + name).digest()

    def registration(self, order_id: str, *, user_name: str, display_name: str) -> Registration:
        """Begin a registration for that order. Names beyond 64 bytes are cut at a character."""
        handle, name, shown = self.user_handle(order_id), _cut(user_name), _cut(display_name)
        challenge = self._random(CHALLENGE_LENGTH)
        _, state = self._server.register_begin(
            PublicKeyCredentialUserEntity(id=handle, name=name, display_name=shown),
            resident_key_requirement=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
            challenge=challenge,
        )
        return Registration(
            order_id=order_id,
            rp={"id": self.rp_id, "name": self.rp_name},
            user={"id": handle, "name": name, "displayName": shown},
            parameters=[{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS],
            client_data=CollectedClientData.create(
                CollectedClientData.TYPE.CREATE, challenge, self.origin
            ),
            state=state,
        )

    def complete_registration(
        self,
        registration: Registration,
        attestation_object: bytes,
        *,
        now: datetime,
        accept: Callable[[FidoAttestation], None] = lambda attestation: None,
    ) -> CredentialRecord:
        """Check what the authenticator made, and keep it. An earlier one of the order is replaced.

        `attestation_object` is CBOR (fmt, authData, attStmt); `now` is aware of its zone; `accept`
        may refuse an attestation that holds, by raising. Raises `EvidenceError`
        (`AttestationError` for the attestation), `DurabilityError`.
        """
        attestation = parse_attestation_object(attestation_object)
        credential = attestation.auth_data.credential_data
        if credential is None:
            raise EvidenceError("the authenticator made no credential", remedy=_REMEDY)
        response = RegistrationResponse(
            raw_id=credential.credential_id,
            response=AuthenticatorAttestationResponse(
                client_data=registration.client_data, attestation_object=attestation
            ),
        )
        try:
            self._server.register_complete(registration.state, response)
        except ValueError as exc:
            raise EvidenceError(f"the registration is refused: {exc}", remedy=_REMEDY) from exc
        if credential.public_key.ALGORITHM not in ALGORITHMS:
            raise EvidenceError(
                "the authenticator used an algorithm that was not offered", remedy=_REMEDY
            )
        judged = verify_fido_attestation(
            bytes(attestation), registration.client_data_hash, self._anchors, now=now
        )
        accept(judged)
        record = CredentialRecord(
            order_id=registration.order_id,
            rp_id=self.rp_id,
            user_handle=registration.user_handle,
            user_name=registration.user["name"],
            display_name=registration.user["displayName"],
            credential_id=credential.credential_id,
            public_key=cbor.encode(dict(credential.public_key)),
            sign_count=attestation.auth_data.counter,
            attestation=judged,
            attestation_object=bytes(attestation_object),
            client_data=bytes(registration.client_data),
            registered=now,
        )
        self._records.put(record)
        return record

    def take_back(
        self,
        order_id: str,
        attestation_object: bytes,
        client_data: bytes,
        judged: FidoAttestation,
        *,
        user_name: str,
        display_name: str,
        registered: datetime,
    ) -> CredentialRecord:
        """Keep a credential that was registered here and lost, by what the manifest has of it.

        Raises `EvidenceError` where that made none.
        """
        made = parse_attestation_object(attestation_object).auth_data
        if made.credential_data is None:
            raise EvidenceError("the registration made no credential", remedy=_REMEDY)
        record = CredentialRecord(
            order_id=order_id,
            rp_id=self.rp_id,
            user_handle=self.user_handle(order_id),
            user_name=_cut(user_name),
            display_name=_cut(display_name),
            credential_id=made.credential_data.credential_id,
            public_key=cbor.encode(dict(made.credential_data.public_key)),
            sign_count=made.counter,
            attestation=judged,
            attestation_object=attestation_object,
            client_data=client_data,
            registered=registered,
        )
        self._records.put(record)
        return record

    def find(self, order_id: str) -> CredentialRecord | None:
        """The credential of that order, or None."""
        return self._records.get(order_id)

    def credentials(self) -> Iterator[CredentialRecord]:
        """Every credential that is registered here."""
        return self._records.all()

    def suspend(self, order_id: str, since: datetime | None) -> CredentialRecord | None:
        """Accept the credential of an order no longer; None: again. Gives it as it is then."""
        record = self._records.get(order_id)
        if record is not None and (record.suspended is None) is not (since is None):
            record = replace(record, suspended=since)
            self._records.put(record)
        return record

    def remove(self, order_id: str) -> None:
        """Forget the credential of an order; a second time is fine."""
        self._records.remove(order_id)

    def assertion(
        self,
        credential: CredentialRecord,
        *,
        presence: bool = True,
        verification: bool = True,
        challenge: bytes | None = None,
    ) -> Assertion:
        """Begin an assertion with that credential; without `presence` it needs no touch.

        `challenge` is 32 bytes that are as good as drawn: a digest over some that were.
        """
        return Assertion(
            rp_id=self.rp_id,
            credential_id=credential.credential_id,
            client_data=CollectedClientData.create(
                CollectedClientData.TYPE.GET,
                challenge or self._random(CHALLENGE_LENGTH),
                self.origin,
            ),
            presence=presence,
            verification=verification,
            credential=credential,
        )

    def complete_assertion(
        self, assertion: Assertion, auth_data: bytes, signature: bytes, *, now: datetime
    ) -> CredentialRecord:
        """Check an assertion over that client data, and keep its counter.

        `auth_data` is the authenticator data, `signature` as the authenticator gave it; `now` is
        aware of its zone. Raises `EvidenceError`, `DurabilityError`.
        """
        credential = assertion.credential
        now_held = self._records.get(credential.order_id)
        if now_held is None:
            raise _refused("its registration was removed")
        if now_held.suspended is not None:
            raise _refused(f"it is suspended since {now_held.suspended:%Y-%m-%d %H:%M}")
        try:
            data = AuthenticatorData(bytes(auth_data))
            credential.cose_key.verify(bytes(auth_data) + assertion.client_data_hash, signature)
        except InvalidSignature as exc:
            raise _refused("the signature is not by the registered key") from exc
        except (ValueError, KeyError, IndexError, TypeError) as exc:
            raise _refused("the authenticator data or the signature is malformed") from exc
        if data.rp_id_hash != hashlib.sha256(self.rp_id.encode()).digest():
            raise _refused("it is for another relying party")
        if assertion.presence and not data.is_user_present():
            raise _refused("nobody touched the token")
        if assertion.verification and not data.is_user_verified():
            raise _refused("the PIN was not given")
        least = credential.sign_count + assertion.presence
        if (data.counter or credential.sign_count) and data.counter < least:
            raise _refused(
                f"its counter is {data.counter} after {credential.sign_count}: "
                "the credential may have been copied"
            )
        record = replace(credential, sign_count=data.counter, asserted=now)
        self._records.put(record)
        return record


def _refused(why: str) -> EvidenceError:
    return EvidenceError(f"the assertion is refused: {why}", remedy=_REMEDY)


def _cut(name: str) -> str:
    """At most 64 bytes, whole characters (WebAuthn Level 2, 6.4.1)."""
    return name.encode()[:MAX_NAME].decode(errors="ignore")
