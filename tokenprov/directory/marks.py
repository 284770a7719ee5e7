"""Marks: credentials by which the station knows tokens again that have no serial.

A mark is a credential that is not discoverable, made without a PIN on a blank token, at a relying
party that is nobody's (RFC 6761, 6.4: `invalid`). It takes no room on the token, is good for
nothing but this, and is gone with a FIDO reset, as all that the token was given.

Rules:
- The name of a mark, the first digits of the AAGUID and eight drawn ones, stands for the serial.
- A token is asked without touch and PIN ("up": false; CTAP 2.1, 6.2.1) and proves by a signature
  over a challenge of this moment that it made the credential.
- A mark is on the disk before its token is told anything else.
- One that ended with its token's reset is kept for the record, and asked for no more.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.webauthn import AuthenticatorData, CollectedClientData

from tokenprov.attestation import Anchors, verify_fido_attestation
from tokenprov.attestation.fido import parse_attestation_object
from tokenprov.directory.credential import CredentialFolder, CredentialRecord
from tokenprov.directory.relying_party import ALGORITHMS, CHALLENGE_LENGTH
from tokenprov.errors import EvidenceError
from tokenprov.secret import RandomBytes

RP_ID = "station.tokenprov.invalid"
DRAWN = 4  # bytes of a mark's name, after as many of the AAGUID
_ORIGIN = f"https://{RP_ID}"
_REMEDY = "Insert the token again; if it stays so, set it aside."


@dataclass(frozen=True, slots=True, kw_only=True)
class Marking:
    """A mark that is being made: what authenticatorMakeCredential takes (CTAP 2.1, 6.1)."""

    name: str
    client_data: CollectedClientData

    @property
    def rp(self) -> Mapping[str, Any]:
        """The relying party."""
        return {"id": RP_ID, "name": "tokenprov"}

    @property
    def user(self) -> Mapping[str, Any]:
        """Nobody: the handle is a digest of the name."""
        return {"id": _handle(self.name), "name": self.name, "displayName": self.name}

    @property
    def parameters(self) -> list[Mapping[str, Any]]:
        """The algorithms, as preferred."""
        return [{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS]


class Marks:
    """The marks of a station, in a folder, one file a token."""

    def __init__(self, folder: Path, *, anchors: Anchors, random: RandomBytes = os.urandom) -> None:
        self._anchors, self._random = anchors, random
        self._records = CredentialFolder(folder, RP_ID)

    def begin(self, aaguid: str, name: str = "") -> Marking:
        """A mark for a token of that model; with `name`, another one in the place of that mark."""
        return Marking(
            name=name or f"{aaguid.replace('-', '')[: 2 * DRAWN]}-{self._random(DRAWN).hex()}",
            client_data=self.challenge(CollectedClientData.TYPE.CREATE),
        )

    def keep(
        self, marking: Marking, attestation_object: bytes, *, now: datetime
    ) -> CredentialRecord:
        """Check what the token made, and keep it; `now` is aware of its zone.

        Raises `AttestationError` for an attestation that does not hold, `EvidenceError`,
        `DurabilityError`.
        """
        judged = verify_fido_attestation(
            attestation_object, marking.client_data.hash, self._anchors, now=now
        )
        data = parse_attestation_object(attestation_object).auth_data
        credential = data.credential_data
        if credential is None or data.rp_id_hash != _rp_id_hash():
            raise EvidenceError("the token made no credential for its mark", remedy=_REMEDY)
        record = CredentialRecord(
            order_id=marking.name,
            rp_id=RP_ID,
            user_handle=_handle(marking.name),
            user_name=marking.name,
            display_name=marking.name,
            credential_id=credential.credential_id,
            public_key=cbor.encode(dict(credential.public_key)),
            sign_count=data.counter,
            attestation=judged,
            attestation_object=bytes(attestation_object),
            client_data=bytes(marking.client_data),
            registered=now,
        )
        self._records.put(record)
        return record

    def find(self, name: str) -> CredentialRecord | None:
        """The mark of that name, or None."""
        return self._records.get(name)

    def end(self, name: str, now: datetime) -> None:
        """It went with its token's reset, which was seen; a second time is fine."""
        record = self.find(name)
        if record is not None and record.suspended is None:
            self._records.put(replace(record, suspended=now))

    def newest(self, most: int) -> list[CredentialRecord]:
        """The last marks that were made and did not end, so many of them at the most."""
        there = [one for one in self._records.all() if one.suspended is None]
        return sorted(there, key=lambda one: one.registered, reverse=True)[:most]

    def challenge(
        self, kind: CollectedClientData.TYPE = CollectedClientData.TYPE.GET
    ) -> CollectedClientData:
        """Client data of this moment."""
        return CollectedClientData.create(kind, self._random(CHALLENGE_LENGTH), _ORIGIN)


def proved(
    asked: Sequence[CredentialRecord],
    challenge: CollectedClientData,
    credential_id: bytes | None,
    auth_data: bytes,
    signature: bytes,
) -> CredentialRecord:
    """Which of the marks a token has that was asked for these. Raises `EvidenceError`.

    `credential_id` may be left out by a token that was asked for one (CTAP 2.1, 6.2).
    """
    mine = [one for one in asked if credential_id in (None, one.credential_id)]
    try:
        (record,) = mine
        data = AuthenticatorData(bytes(auth_data))
        record.cose_key.verify(bytes(auth_data) + challenge.hash, signature)
    except (InvalidSignature, ValueError, KeyError, IndexError, TypeError) as exc:
        raise EvidenceError("the token does not prove its mark", remedy=_REMEDY) from exc
    if data.rp_id_hash != _rp_id_hash():
        raise EvidenceError("the token proves another mark", remedy=_REMEDY)
    return record


def _rp_id_hash() -> bytes:
    return hashlib.sha256(RP_ID.encode()).digest()


def _handle(name: str) -> bytes:
    return hashlib.sha256(f"tokenprov mark v1\0{name}".encode()).digest()
