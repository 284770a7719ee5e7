"""Entries of the manifest, as the bytes that the log hashes; `kinds` says what they hold.

Rules:
- An entry is RFC 8785 JSON of at most 65,535 bytes, with `v` 1 and a `kind`; every kind has the
  members `time`, `station`, `operator` and `approvers`.
- An entry of a kind that this program does not know is a finding: a later program verifies it.
- A blob is named by `sha256`, wherever that member stands under `evidence`, `steps`, `secrets`,
  `approvers` or `clearance`.
- docs/formats.md describes every member.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from tokenprov.errors import ManifestError
from tokenprov.model import Json
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical, timestamp
from tokenprov.record.kinds import KINDS, VERSION, Grade, Kind
from tokenprov.record.shape import ShapeError
from tokenprov.record.tlog import MAX_ENTRY

__all__ = [
    "VERSION",
    "Entry",
    "Grade",
    "Kind",
    "blobs_of",
    "commitment_of",
    "decode_entry",
    "encode_entry",
    "station_entry",
    "validate_entry",
]

Entry = dict[str, Any]


def validate_entry(document: Json) -> Entry:
    """The document as an entry. Raises ManifestError: rule `kind` or `schema`, with the member."""
    kind = document.get("kind") if isinstance(document, dict) else None
    check = KINDS.get(kind) if isinstance(kind, str) else None
    if check is None or not isinstance(document, dict):
        raise _refused("kind", f"an entry of kind {kind!r} is not known to this program")
    try:
        check(document, "")
    except ShapeError as exc:
        raise _refused("schema", f"{kind}: {exc}") from exc
    if kind == Kind.ISSUED and document["kit"]["position"] >= document["kit"]["size"]:
        raise _refused("schema", "issued: kit.position is beyond kit.size")
    return document


def encode_entry(document: Json) -> bytes:
    """The bytes to be logged. Raises ManifestError."""
    try:
        data = canonical(validate_entry(document))
    except CanonicalError as exc:
        raise _refused("canonical", exc.message) from exc
    if len(data) > MAX_ENTRY:
        raise _refused("schema", f"an entry of {len(data)} bytes; {MAX_ENTRY} is the most")
    return data


def decode_entry(data: bytes) -> Entry:
    """The entry that was logged. Raises ManifestError: rule `canonical`, `kind` or `schema`."""
    try:
        document = parse_canonical(data)
    except CanonicalError as exc:
        raise _refused("canonical", exc.message) from exc
    return validate_entry(document)


def blobs_of(entry: Entry) -> Iterator[str]:
    """The digests of all blobs that an entry refers to."""
    clearance = entry.get("clearance", {})
    for item in (entry, *entry.get("steps", ()), *entry["approvers"], clearance):
        for evidence in item.get("evidence", ()):
            yield evidence["sha256"]
    for secret in entry.get("secrets", ()):
        yield secret["sha256"]


def commitment_of(entry: Entry) -> str | None:
    """The commitment to the holder that an entry is about."""
    holder = entry.get("holder")
    return holder["commitment"] if holder else None


def entry_head(kind: Kind, *, time: datetime, station: str, operator: str) -> Entry:
    """The members that every kind has. Nobody approves yet: a clearance adds who does."""
    return {
        "v": VERSION,
        "kind": str(kind),
        "time": timestamp(time),
        "station": station,
        "operator": operator,
        "approvers": [],
    }


def station_entry(
    *,
    time: datetime,
    station: str,
    operator: str,
    custodians: Sequence[tuple[str, str]],
) -> Entry:
    """The first entry of a station's log; `custodians` are pairs of purpose and kid."""
    return {
        **entry_head(Kind.STATION, time=time, station=station, operator=operator),
        "custodians": [{"purpose": str(purpose), "kid": kid} for purpose, kid in custodians],
    }


def _refused(rule: str, what: str) -> ManifestError:
    remedies = {
        "kind": "Verify it with the version of tokenprov that wrote it, or a later one.",
        "schema": "The entry was not written by tokenprov, or by a later one: look at it.",
        "canonical": "The entry was not written by tokenprov: look at it.",
    }
    return ManifestError(f"entry: {what}", remedy=remedies[rule], rule=rule)
