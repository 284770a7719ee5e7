"""Entries of the manifest: what each kind holds, as the bytes that the log hashes.

Rules:
- An entry is RFC 8785 JSON of at most 65,535 bytes, with `v` 1 and a `kind`; every kind has the
  members `time`, `station`, `operator` and `approvers`.
- No member is added to a kind, or left out, without a new `v`; a new kind is no new `v`. An entry
  of a kind that this program does not know is a finding: a later program verifies it.
- A blob is named by `sha256`, wherever that member stands under `steps`, `secrets` or
  `approvers`.
- docs/formats.md describes every member.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from tokenprov.errors import ManifestError
from tokenprov.model import Json
from tokenprov.record import shape
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical, timestamp
from tokenprov.record.shape import ShapeError
from tokenprov.record.tlog import MAX_ENTRY

VERSION = 1

Entry = dict[str, Any]


class Kind(StrEnum):
    """What an entry reports."""

    STATION = "station"  # the first: which station this log is of
    ISSUED = "issued"  # a token was made and read back
    SET_ASIDE = "set-aside"  # a token was taken out of use, or out of the line
    OPENED = "opened"  # sealed secrets of a token are opened by a custodian
    RESEALED = "resealed"  # secrets of a token were sealed to another key of their custodian
    CUSTODIAN_CHANGED = "custodian-changed"  # what comes is sealed to another key
    WIPED = "wiped"  # a used token that is nobody's here was emptied, and read back as empty


class Grade(StrEnum):
    """How a token's identity is known."""

    ATTESTED = "attested"  # by the vendor, for every applet that can
    PARTLY = "partly"
    ASSERTED = "asserted"  # by the token itself and nobody else


_DIGEST = shape.pattern(r"[0-9a-f]{64}", "a SHA-256 in 64 hex digits")
_WORD = shape.pattern(r"[a-z0-9]+(-[a-z0-9]+)*", "a word of small letters, digits and hyphens")

_KID = shape.pattern(r"[0-9a-f]{16}", "a key id of 16 hex digits")
_EVIDENCE = shape.list_of(shape.record({"type": _WORD, "sha256": _DIGEST}))
_HEAD = {
    "v": shape.one_of(VERSION),
    "time": shape.moment,
    "station": shape.text,
    "operator": shape.text,
    "approvers": shape.list_of(shape.record({"name": shape.text}, {"evidence": _EVIDENCE})),
}
_TOKEN = shape.record(
    {
        "maker": shape.text,
        "model": shape.text,
        "firmware": shape.text_or_empty,
        "serial": shape.nullable(shape.text),
        "virtual": shape.flag,
    },
    {"mark": shape.text, "grade": shape.one_of(*map(str, Grade))},
)
_SECRETS = shape.list_of(
    shape.record(
        {
            "name": shape.text,
            "kind": _WORD,
            "purpose": _WORD,
            "generation": shape.number(1),
            "sha256": _DIGEST,
        },
        {"kid": shape.pattern(r"[0-9a-f]{16}", "a key id of 16 hex digits")},
    )
)


_LABELLED = shape.record(  # a token as far as it is known: an unfinished order has not read it all
    {"serial": shape.nullable(shape.text)},
    {
        "maker": shape.text,
        "model": shape.text,
        "firmware": shape.text_or_empty,
        "virtual": shape.flag,
        "mark": shape.text,
        "grade": shape.one_of(*map(str, Grade)),
    },
)


def _steps(*states: str) -> shape.Check:
    return shape.list_of(
        shape.record(
            {"id": shape.text, "state": shape.one_of(*states), "facts": shape.document},
            {
                "reason": shape.text,
                "unread": shape.list_of(shape.text),
                "evidence": _EVIDENCE,
            },
        )
    )


_KINDS: Mapping[str, shape.Check] = {
    Kind.STATION: shape.record(
        {
            **_HEAD,
            "kind": shape.one_of(str(Kind.STATION)),
            "custodians": shape.list_of(
                shape.record({"purpose": _WORD, "kid": shape.pattern(r"[0-9a-f]{16}", "a key id")})
            ),
        }
    ),
    Kind.ISSUED: shape.record(
        {
            **_HEAD,
            "kind": shape.one_of(str(Kind.ISSUED)),
            "batch": shape.text,
            "order": shape.text,
            "holder": shape.record({"commitment": _DIGEST}),
            "kit": shape.record({"position": shape.number(0), "size": shape.number(1)}),
            "profile": shape.record({"name": shape.text, "digest": _DIGEST}),
            "token": _TOKEN,
            "steps": _steps("match", "skipped"),
            "secrets": _SECRETS,
        },
        {"waivers": shape.list_of(shape.text)},
    ),
    Kind.SET_ASIDE: shape.record(
        {
            **_HEAD,
            "kind": shape.one_of(str(Kind.SET_ASIDE)),
            "token": _TOKEN,
            "reason": shape.text,
        },
        {
            "batch": shape.text,
            "order": shape.text,
            "steps": _steps("absent", "match", "skipped", "conflict", "unknown"),
            "secrets": _SECRETS,
        },
    ),
    Kind.OPENED: shape.record(
        {
            **_HEAD,
            "kind": shape.one_of(str(Kind.OPENED)),
            "token": _LABELLED,
            "reason": shape.text,
            "form": _WORD,
            "secrets": _SECRETS,
        }
    ),
    Kind.RESEALED: shape.record(
        {
            **_HEAD,
            "kind": shape.one_of(str(Kind.RESEALED)),
            "token": _LABELLED,
            "reason": shape.text,
            "from": _KID,
            "secrets": _SECRETS,
        }
    ),
    Kind.CUSTODIAN_CHANGED: shape.record(
        {
            **_HEAD,
            "kind": shape.one_of(str(Kind.CUSTODIAN_CHANGED)),
            "purpose": _WORD,
            "from": _KID,
            "to": _KID,
            "reason": shape.text,
        }
    ),
    Kind.WIPED: shape.record(
        {
            **_HEAD,
            "kind": shape.one_of(str(Kind.WIPED)),
            "wipe": shape.text,
            "began": shape.moment,
            "token": _TOKEN,
            "reason": shape.text,
            "found": shape.record({"used": shape.list_of(shape.text), "inventory": shape.document}),
            "reset": shape.list_of(_WORD),
            "left": shape.document,
        }
    ),
}


def validate_entry(document: Json) -> Entry:
    """The document as an entry. Raises ManifestError: rule `kind` or `schema`, with the member."""
    kind = document.get("kind") if isinstance(document, dict) else None
    check = _KINDS.get(kind) if isinstance(kind, str) else None
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
    for item in (*entry.get("steps", ()), *entry["approvers"]):
        for evidence in item.get("evidence", ()):
            yield evidence["sha256"]
    for secret in entry.get("secrets", ()):
        yield secret["sha256"]


def commitment_of(entry: Entry) -> str | None:
    """The commitment to the holder that an entry is about."""
    holder = entry.get("holder")
    return holder["commitment"] if holder else None


def station_entry(
    *,
    time: datetime,
    station: str,
    operator: str,
    custodians: Sequence[tuple[str, str]],
    approvers: Sequence[str] = (),
) -> Entry:
    """The first entry of a station's log; `custodians` are pairs of purpose and kid."""
    return {
        "v": VERSION,
        "kind": str(Kind.STATION),
        "time": timestamp(time),
        "station": station,
        "operator": operator,
        "approvers": [{"name": name} for name in approvers],
        "custodians": [{"purpose": str(purpose), "kid": kid} for purpose, kid in custodians],
    }


def _refused(rule: str, what: str) -> ManifestError:
    remedies = {
        "kind": "Verify it with the version of tokenprov that wrote it, or a later one.",
        "schema": "The entry was not written by tokenprov, or by a later one: look at it.",
        "canonical": "The entry was not written by tokenprov: look at it.",
    }
    return ManifestError(f"entry: {what}", remedy=remedies[rule], rule=rule)
