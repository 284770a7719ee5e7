"""The record of what an authority issued, a file a request, written before it is handed out.

    <quoted request>.json   canonical JSON (RFC 8785)
    {"v": 1, "request": "ab12cd34-0007/9a", "certificates": [
        {"certificate": base64 of DER, "issued": "…Z", "publicKey": SHA-256 of the SPKI, hex,
         "serial": hex, "revoked": {"at": "…Z", "reason": "superseded"}}]}

Rules: certificates stand in the order of their issue; only the last can be in force, and all
before it are revoked. Each change is one atomic replacement, so that a successor and the
revocation of what it supersedes are on the disk together or not at all.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.errors import EvidenceError, IssuerError, StationError
from tokenprov.issuer.requests import request_file
from tokenprov.model import Json
from tokenprov.record.canonical import canonical, parse_canonical, timestamp
from tokenprov.record.files import create_durable, make_folder, write_durable

_VERSION = 1
_NEVER = -1
_TICK = 1_000_000_000  # ns; far above what file systems round times to
_FORM = "%Y-%m-%dT%H:%M:%S%z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """When and why a certificate was revoked."""

    at: datetime
    reason: x509.ReasonFlags

    @property
    def on_hold(self) -> bool:
        """Whether it can be released (RFC 5280, 5.3.1)."""
        return self.reason is x509.ReasonFlags.certificate_hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that was issued."""

    certificate: bytes  # DER
    serial_hex: str
    public_key_digest: str  # SHA-256 of the SubjectPublicKeyInfo, hex
    issued: datetime
    revocation: Revocation | None = None

    @classmethod
    def of(cls, certificate: x509.Certificate, issued: datetime) -> Issued:
        """One that was signed just now."""
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(
            certificate=certificate.public_bytes(Encoding.DER),
            serial_hex=f"{certificate.serial_number:x}",
            public_key_digest=hashlib.sha256(key).hexdigest(),
            issued=issued,
        )

    @property
    def ended(self) -> bool:
        """Whether it was revoked for good."""
        return self.revocation is not None and not self.revocation.on_hold

    @property
    def not_after(self) -> datetime:
        """When it ends."""
        return x509.load_der_x509_certificate(self.certificate).not_valid_after_utc


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A record as it was read; `state` tells whether its file is still the same."""

    state: tuple[int, int, int]  # inode, time in ns, size
    request_id: str
    certificates: tuple[Issued, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The folder as it was at one moment, by its time in ns; and every record, by its file."""

    at: int = _NEVER
    known: dict[str, _Known] = field(default_factory=dict)


class IssuedFolder:
    """The records of one authority. Its methods raise `DurabilityError` where the disk fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = _Seen()  # replaced whole, as threads look at it at once
        make_folder(folder)

    def of(self, request_id: str) -> tuple[Issued, ...]:
        """What was issued under that name, oldest first; empty if nothing."""
        path = request_file(self._folder, request_id)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ()
        return _parse(data, path)[1]

    def add(self, request_id: str, issued: Issued) -> None:
        """Record a certificate; what was in force or on hold under that name is superseded."""
        former = self.of(request_id)
        if not former:
            try:
                create_durable(request_file(self._folder, request_id), _dump(request_id, (issued,)))
            except FileExistsError as exc:
                raise IssuerError(
                    f"another process issued for {request_id} at this moment",
                    remedy="Run the same command again: it will find what was issued.",
                ) from exc
            return
        superseded = Revocation(at=issued.issued, reason=x509.ReasonFlags.superseded)
        kept = tuple(one if one.ended else replace(one, revocation=superseded) for one in former)
        write_durable(request_file(self._folder, request_id), _dump(request_id, (*kept, issued)))

    def revoke(self, serial_hex: str, revocation: Revocation) -> Issued | None:
        """Revoke a certificate; one revoked for good stays as it is. None if there is no such."""
        return self._change(serial_hex, lambda now: now if now and not now.on_hold else revocation)

    def release(self, serial_hex: str) -> Issued | None:
        """End a hold; one revoked for good stays as it is. None if there is no such."""
        return self._change(serial_hex, lambda now: now if now and not now.on_hold else None)

    def with_serial(self, serial_hex: str) -> Issued | None:
        """The certificate of that serial number. None if there is no such."""
        return next((one for one in self.all() if one.serial_hex == serial_hex), None)

    def _change(
        self, serial_hex: str, of: Callable[[Revocation | None], Revocation | None]
    ) -> Issued | None:
        for name, known in self._all().items():
            for index, one in enumerate(known.certificates):
                if one.serial_hex != serial_hex:
                    continue
                changed = replace(one, revocation=of(one.revocation))
                if changed != one:
                    kept = (*known.certificates[:index], changed, *known.certificates[index + 1 :])
                    write_durable(self._folder / name, _dump(known.request_id, kept))
                return changed
        return None

    def all(self) -> Iterator[Issued]:
        """Everything that was issued."""
        for known in self._all().values():
            yield from known.certificates

    def _all(self) -> dict[str, _Known]:
        """Every record by its file's name; only those that changed are read again.

        The folder's time tells of changes, but for those in the same tick of the clock as this
        look: a time that is not past yet is not remembered.
        """
        time_of_folder, seen = self._folder.stat().st_mtime_ns, self._seen
        if time_of_folder == seen.at:
            return seen.known
        known = dict[str, _Known]()
        with os.scandir(self._folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if entry.name.startswith(".") or not entry.name.endswith(".json"):
                continue
            now = entry.stat()
            state = (now.st_ino, now.st_mtime_ns, now.st_size)
            before = seen.known.get(entry.name)
            if before is None or before.state != state:
                path = self._folder / entry.name
                request_id, certificates = _parse(path.read_bytes(), path)
                before = _Known(state=state, request_id=request_id, certificates=certificates)
            known[entry.name] = before
        past = time.time_ns() - time_of_folder > _TICK
        self._seen = _Seen(at=time_of_folder if past else _NEVER, known=known)
        return known


def _dump(request_id: str, certificates: tuple[Issued, ...]) -> bytes:
    entries = []
    for one in certificates:
        entry: dict[str, Json] = {
            "certificate": base64.b64encode(one.certificate).decode(),
            "issued": timestamp(one.issued),
            "publicKey": one.public_key_digest,
            "serial": one.serial_hex,
        }
        if one.revocation:
            entry["revoked"] = {
                "at": timestamp(one.revocation.at),
                "reason": one.revocation.reason.value,
            }
        entries.append(entry)
    return canonical({"v": _VERSION, "request": request_id, "certificates": entries})


def _parse(data: bytes, path: Path) -> tuple[str, tuple[Issued, ...]]:
    try:
        document = parse_canonical(data)
        if document["v"] != _VERSION or not document["certificates"]:
            raise ValueError("not a record of this version")
        return document["request"], tuple(_parse_one(one) for one in document["certificates"])
    except (EvidenceError, KeyError, TypeError, ValueError) as exc:
        raise StationError(
            f"{path} is not a record of issued certificates",
            remedy="Restore it from a backup: the authority issues nothing for that request "
            "until it can be read.",
        ) from exc


def _parse_one(entry: dict[str, Json]) -> Issued:
    revoked = entry.get("revoked")
    return Issued(
        certificate=base64.b64decode(entry["certificate"], validate=True),
        serial_hex=entry["serial"],
        public_key_digest=entry["publicKey"],
        issued=datetime.strptime(entry["issued"], _FORM),
        revocation=Revocation(
            at=datetime.strptime(revoked["at"], _FORM),
            reason=x509.ReasonFlags(revoked["reason"]),
        )
        if revoked
        else None,
    )
