"""What a relying party keeps of a credential: one file an order, canonical JSON (RFC 8785).

    <relying party id>/<quoted order>.json

Binary values are base64url without padding, as in WebAuthn's own JSON. The attestation object and
the client data stay whole, so that the evidence can be judged again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fido2 import cbor
from fido2.cose import CoseKey
from fido2.utils import websafe_decode, websafe_encode

from tokenprov.attestation import FidoAttestation
from tokenprov.errors import EvidenceError, InputError, StationError
from tokenprov.model import Json
from tokenprov.record.canonical import canonical, parse_canonical, timestamp
from tokenprov.record.files import discard, make_folder, sync_each, write_durable

_VERSION = 1
_MAX_NAME = 200  # bytes of a file name, below what every file system takes
_FORM = "%Y-%m-%dT%H:%M:%S%z"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRecord:
    """A credential that was registered for an order."""

    order_id: str
    rp_id: str
    user_handle: bytes
    user_name: str
    display_name: str
    credential_id: bytes
    public_key: bytes  # COSE_Key, CBOR
    sign_count: int  # the last one seen; 0 where the authenticator does not count
    attestation: FidoAttestation
    attestation_object: bytes  # CBOR
    client_data: bytes  # JSON, as it was hashed
    registered: datetime
    asserted: datetime | None = None  # the last time that an assertion verified
    suspended: datetime | None = None  # since when it is not accepted

    @property
    def cose_key(self) -> CoseKey:
        """The public key, to verify with."""
        key: Any = cbor.decode(self.public_key)
        return CoseKey.parse(key)

    def to_json(self) -> dict[str, Json]:
        """As it stands on the disk."""
        document: dict[str, Json] = {
            "v": _VERSION,
            "order": self.order_id,
            "rpId": self.rp_id,
            "userHandle": websafe_encode(self.user_handle),
            "userName": self.user_name,
            "displayName": self.display_name,
            "credentialId": websafe_encode(self.credential_id),
            "publicKey": websafe_encode(self.public_key),
            "signCount": self.sign_count,
            "attestation": self.attestation.to_json(),
            "attestationObject": websafe_encode(self.attestation_object),
            "clientData": websafe_encode(self.client_data),
            "registered": timestamp(self.registered),
        }
        for name, at in (("asserted", self.asserted), ("suspended", self.suspended)):
            if at is not None:
                document[name] = timestamp(at)
        return document

    @classmethod
    def from_json(cls, document: dict[str, Json]) -> CredentialRecord:
        """The inverse. Raises KeyError, TypeError or ValueError for what it did not write."""
        if document["v"] != _VERSION:
            raise ValueError("not a record of this version")
        asserted, suspended = document.get("asserted"), document.get("suspended")
        return cls(
            order_id=document["order"],
            rp_id=document["rpId"],
            user_handle=websafe_decode(document["userHandle"]),
            user_name=document["userName"],
            display_name=document["displayName"],
            credential_id=websafe_decode(document["credentialId"]),
            public_key=websafe_decode(document["publicKey"]),
            sign_count=document["signCount"],
            attestation=FidoAttestation.from_json(document["attestation"]),
            attestation_object=websafe_decode(document["attestationObject"]),
            client_data=websafe_decode(document["clientData"]),
            registered=datetime.strptime(document["registered"], _FORM),
            asserted=datetime.strptime(asserted, _FORM) if asserted else None,
            suspended=datetime.strptime(suspended, _FORM) if suspended else None,
        )


class CredentialFolder:
    """The records of one relying party. Its methods raise `DurabilityError` if the disk fails."""

    def __init__(self, folder: Path, rp_id: str) -> None:
        self._folder = folder / rp_id
        make_folder(self._folder)

    def get(self, order_id: str) -> CredentialRecord | None:
        """The credential of that order, or None. Raises `StationError` for a damaged record."""
        path = self._path(order_id)
        return _read(path) if path.exists() else None

    def put(self, record: CredentialRecord) -> None:
        """Keep a credential; an earlier one of the same order is replaced."""
        write_durable(self._path(record.order_id), canonical(record.to_json()))

    def remove(self, order_id: str) -> None:
        """Keep it no longer; a second time is fine."""
        if discard(self._path(order_id)):
            sync_each([], [self._folder])

    def all(self) -> Iterator[CredentialRecord]:
        """Every credential that is kept, by order."""
        for path in sorted(self._folder.glob("[!.]*.json")):
            yield _read(path)

    def _path(self, order_id: str) -> Path:
        name = quote(order_id, safe="")
        if not name or name.startswith(".") or len(name) > _MAX_NAME:
            raise InputError(
                f"{order_id[:40]!r} cannot name an order",
                remedy="Use 200 characters at the most, the first not a dot.",
            )
        return self._folder / f"{name}.json"


def _read(path: Path) -> CredentialRecord:
    try:
        return CredentialRecord.from_json(parse_canonical(path.read_bytes()))
    except (EvidenceError, OSError, KeyError, TypeError, ValueError) as exc:
        raise StationError(
            f"{path} is not a record of a credential",
            remedy="Restore it from a backup, or remove it and register that token again.",
        ) from exc
