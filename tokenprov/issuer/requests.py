"""The record of what was asked of an authority and what it answered, a file a request.

    <quoted request>.json   canonical JSON (RFC 8785)
    {"v": 1, "request": "ab12cd34-0007/9a", "keys": [
        {"publicKey": SHA-256 of the SPKI, hex, "transaction": hex, "handle": "https://…",
         "sent": [{"at": "…Z", "outcome": "pending"}, {"at": "…Z"}],
         "certificate": base64 of DER, "chain": [base64], "serial": hex,
         "ended": {"at": "…Z", "reason": "superseded", "told": true}}]}

Rules:
- Keys stand in the order in which they were asked for; only the last one's certificate is used.
- A sending stands there before it goes out; without an outcome it was never answered.
- An ending stands there before the authority is told, and is told once that answered.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from cryptography import x509

from tokenprov.errors import EvidenceError, IssuerError, StationError
from tokenprov.model import Json
from tokenprov.record.canonical import canonical, parse_canonical, timestamp
from tokenprov.record.files import make_folder, write_durable

_VERSION = 1
_MAX_NAME = 200  # bytes of a file name, below what every file system takes
_FORM = "%Y-%m-%dT%H:%M:%S%z"


class Outcome(StrEnum):
    """What came of a sending."""

    CERTIFICATE = "certificate"
    PENDING = "pending"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One time that a request went out; without an outcome it was never answered."""

    at: datetime
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A certificate as an authority answered it, and those above it."""

    der: bytes
    chain: tuple[bytes, ...] = ()  # DER, nearest first

    @property
    def serial_hex(self) -> str:
        """Its serial number, as `Issuer` takes it."""
        return f"{x509.load_der_x509_certificate(self.der).serial_number:x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A certificate is revoked; `told` once the authority has taken it."""

    at: datetime
    reason: x509.ReasonFlags
    told: bool = False

    @property
    def on_hold(self) -> bool:
        """Whether it can be released (RFC 5280, 5.3.1)."""
        return self.reason is x509.ReasonFlags.certificate_hold


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """What was asked for one key under a request's name."""

    public_key_digest: str  # SHA-256 of the SubjectPublicKeyInfo, hex
    transaction: str  # hex, drawn once: the same at each sending
    handle: str = ""  # what the authority gave to ask again by, an order's address
    sendings: tuple[Sending, ...] = ()
    answer: Certified | None = None
    ending: Ending | None = None


class RequestFolder:
    """The records of one authority. Its methods raise `DurabilityError` where the disk fails.

    One process at a time writes (the station's lock), and one thread for a request (the line).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def of(self, request_id: str) -> tuple[KeyRequest, ...]:
        """What was asked under that name, oldest first; empty if nothing."""
        path = request_file(self._folder, request_id)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ()
        return _parse(data, path)[1]

    def keep(self, request_id: str, keys: tuple[KeyRequest, ...]) -> None:
        """Record what was asked under that name; after return it is on the disk."""
        write_durable(request_file(self._folder, request_id), _dump(request_id, keys))

    def all(self) -> Iterator[tuple[str, tuple[KeyRequest, ...]]]:
        """Every request by its name."""
        for path in sorted(self._folder.glob("[!.]*.json")):
            yield _parse(path.read_bytes(), path)


def request_file(folder: Path, request_id: str) -> Path:
    """Where what is known of a request lies. Raises `IssuerError` for what names no file."""
    name = quote(request_id, safe="")
    if not name or name.startswith(".") or len(name) > _MAX_NAME:
        raise IssuerError(
            f"{request_id[:40]!r} cannot name a request",
            remedy="Name it by order and slot, in 200 characters at the most.",
        )
    return folder / f"{name}.json"


def _dump(request_id: str, keys: tuple[KeyRequest, ...]) -> bytes:
    return canonical(
        {"v": _VERSION, "request": request_id, "keys": [_dump_one(key) for key in keys]}
    )


def _dump_one(key: KeyRequest) -> dict[str, Json]:
    document: dict[str, Json] = {
        "publicKey": key.public_key_digest,
        "transaction": key.transaction,
        "sent": [
            {"at": timestamp(one.at)} | ({"outcome": str(one.outcome)} if one.outcome else {})
            for one in key.sendings
        ],
    }
    if key.handle:
        document["handle"] = key.handle
    if key.answer:
        document["certificate"] = base64.b64encode(key.answer.der).decode()
        document["chain"] = [base64.b64encode(der).decode() for der in key.answer.chain]
        document["serial"] = key.answer.serial_hex
    if key.ending:
        document["ended"] = {
            "at": timestamp(key.ending.at),
            "reason": key.ending.reason.value,
            "told": key.ending.told,
        }
    return document


def _parse(data: bytes, path: Path) -> tuple[str, tuple[KeyRequest, ...]]:
    try:
        document = parse_canonical(data)
        if document["v"] != _VERSION or not document["keys"]:
            raise ValueError("not a record of this version")
        return document["request"], tuple(_parse_one(one) for one in document["keys"])
    except (EvidenceError, KeyError, TypeError, ValueError) as exc:
        raise StationError(
            f"{path} is not a record of what was asked of an authority",
            remedy="Restore it from a backup: nothing is asked for that request until it can be "
            "read.",
        ) from exc


def _parse_one(entry: dict[str, Json]) -> KeyRequest:
    ended, certificate = entry.get("ended"), entry.get("certificate")
    return KeyRequest(
        public_key_digest=entry["publicKey"],
        transaction=entry["transaction"],
        handle=entry.get("handle", ""),
        sendings=tuple(
            Sending(
                at=datetime.strptime(one["at"], _FORM),
                outcome=Outcome(one["outcome"]) if "outcome" in one else None,
            )
            for one in entry["sent"]
        ),
        answer=Certified(
            der=base64.b64decode(certificate, validate=True),
            chain=tuple(base64.b64decode(der, validate=True) for der in entry["chain"]),
        )
        if certificate
        else None,
        ending=Ending(
            at=datetime.strptime(ended["at"], _FORM),
            reason=x509.ReasonFlags(ended["reason"]),
            told=ended["told"],
        )
        if ended
        else None,
    )
