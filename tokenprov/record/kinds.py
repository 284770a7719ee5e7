"""What each kind of entry holds, member by member (docs/formats.md says what they mean).

Rules:
- No member is added to a kind, or left out, without a new `v`; a new kind is no new `v`.
- A kind about a holder's token names token and holder, both in the form that `issued` has.
- docs/entry.schema.json is this table for other programs; a test keeps the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tokenprov.model import Json
from tokenprov.record import shape
from tokenprov.record.people import Role

VERSION = 1


class Kind(StrEnum):
    """What an entry reports."""

    STATION = "station"  # the first: which station this log is of
    RECEIVED = "received"  # a token came into stock
    ISSUED = "issued"  # a token was made and read back
    SET_ASIDE = "set-aside"  # a token was taken out of use, or out of the line
    REPLACED = "replaced"  # a token's holder has another one in its place
    UNBLOCKED = "unblocked"  # its holder can use a blocked token again
    ROTATED = "rotated"  # keys or secrets on a token were made anew
    SUSPENDED = "suspended"  # a token is not to be accepted for a while
    RESUMED = "resumed"  # and is again
    REVOKED = "revoked"  # a token is not to be accepted any more
    RETIRED = "retired"  # a token was destroyed or given away for good
    OPENED = "opened"  # sealed secrets of a token are opened by a custodian
    RESEALED = "resealed"  # secrets of a token were sealed to another key of their custodian
    CUSTODIAN_CHANGED = "custodian-changed"  # what comes is sealed to another key
    WIPED = "wiped"  # a used token that is nobody's here was emptied, and read back as empty
    ERASED = "erased"  # who a commitment stands for was forgotten
    PERSON_CHANGED = "person-changed"  # who may request, approve, operate or witness
    POLICY_CHANGED = "policy-changed"  # which rules hold from now on
    CUSTODIAN_SPLIT = "custodian-split"  # a custodian's key was made into shares
    RECOVERY_CODES = "recovery-codes"  # a holder was given codes to be known by
    RECOVERY_CODE_USED = "recovery-code-used"  # one of them was, and is used up
    WAIVER = "waiver"  # an exception to policy was granted
    CLOCK_CORRECTED = "clock-corrected"  # the clock was ahead when earlier entries were made
    DRILL = "drill"  # something was rehearsed: a restore, an opening, a revocation
    BATCH_CLOSED = "batch-closed"  # nothing more is issued of a batch
    KEY_ROTATED = "key-rotated"  # another key signs the log from here on, vouched for by the last
    KEY_LOST = "key-lost"  # another key signs it, and nobody could vouch: an epoch begins


class Grade(StrEnum):
    """How a token's identity is known."""

    ATTESTED = "attested"  # by the vendor, for every applet that can
    PARTLY = "partly"
    ASSERTED = "asserted"  # by the token itself and nobody else


_DIGEST = shape.pattern(r"[0-9a-f]{64}", "a SHA-256 in 64 hex digits")
_WORD = shape.pattern(r"[a-z0-9]+(-[a-z0-9]+)*", "a word of small letters, digits and hyphens")

_VERIFIER_KEY = shape.pattern(
    r"[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}", "a verifier key, name+id+base64"
)
_KID = shape.pattern(r"[0-9a-f]{16}", "a key id of 16 hex digits")
_EVIDENCE = shape.list_of(shape.record({"type": _WORD, "sha256": _DIGEST}))
_POLICY = shape.record({"name": shape.text, "digest": _DIGEST})
_HEAD = {
    "v": shape.one_of(VERSION),
    "time": shape.moment,
    "station": shape.text,
    "operator": shape.text,
    "approvers": shape.list_of(shape.record({"name": shape.text, "evidence": _EVIDENCE})),
}
_CLEARANCE = shape.record(  # why the station let it be done
    {},
    {
        "policy": _POLICY,
        "request": _DIGEST,
        "requester": shape.text,
        "waivers": shape.list_of(shape.text),
        "evidence": _EVIDENCE,
    },
)
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

_LISTED = shape.record(  # a token as a list names it: nobody has asked it yet
    {"maker": shape.text, "serial": shape.nullable(shape.text), "virtual": shape.flag},
    {
        "model": shape.text,
        "firmware": shape.text_or_empty,
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


_HOLDER = shape.record({"commitment": _DIGEST})
_EVENT = {**_HEAD, "token": _TOKEN, "reason": shape.text}
_HOLDERS = {**_EVENT, "holder": _HOLDER}
_WORK = {"work": shape.text}
_CREDENTIALS = shape.list_of(  # what became of what relies on the token
    shape.record(
        {
            "id": shape.text,
            "kind": _WORD,
            "outcome": shape.one_of("done", "elsewhere", "kept"),
            "facts": shape.document,
        }
    )
)
_ENDED = {
    **_WORK,
    "cause": _WORD,
    "credentials": _CREDENTIALS,
    "evidence": _EVIDENCE,
}
_READ = {"steps": _steps("match", "skipped"), "secrets": _SECRETS}


def _made(
    kind: Kind,
    required: Mapping[str, shape.Check],
    optional: Mapping[str, shape.Check] | None = None,
) -> dict[str, shape.Check]:
    return {
        kind: shape.record(
            {**required, "kind": shape.one_of(str(kind))},
            {**(optional or {}), "clearance": _CLEARANCE},
        )
    }


KINDS: Mapping[str, shape.Check] = {
    **_made(
        Kind.STATION,
        {
            **_HEAD,
            "custodians": shape.list_of(
                shape.record({"purpose": _WORD, "kid": shape.pattern(r"[0-9a-f]{16}", "a key id")})
            ),
        },
    ),
    **_made(
        Kind.ISSUED,
        {
            **_HEAD,
            "batch": shape.text,
            "order": shape.text,
            "holder": _HOLDER,
            "kit": shape.record({"position": shape.number(0), "size": shape.number(1)}),
            "profile": shape.record({"name": shape.text, "digest": _DIGEST}),
            "token": _TOKEN,
            "steps": _steps("match", "skipped"),
            "secrets": _SECRETS,
        },
    ),
    **_made(
        Kind.SET_ASIDE,
        {
            **_HEAD,
            "token": _TOKEN,
            "reason": shape.text,
        },
        {
            "batch": shape.text,
            "order": shape.text,
            "steps": _steps("absent", "match", "skipped", "conflict", "unknown"),
            "secrets": _SECRETS,
            "credentials": _CREDENTIALS,
        },
    ),
    **_made(
        Kind.OPENED,
        {
            **_HEAD,
            "token": _LABELLED,
            "reason": shape.text,
            "form": _WORD,
            "secrets": _SECRETS,
        },
    ),
    **_made(
        Kind.RESEALED,
        {**_HEAD, "token": _LABELLED, "reason": shape.text, "from": _KID, "secrets": _SECRETS},
    ),
    **_made(
        Kind.CUSTODIAN_CHANGED,
        {**_HEAD, "purpose": _WORD, "from": _KID, "to": _KID, "reason": shape.text},
    ),
    **_made(
        Kind.WIPED,
        {
            **_HEAD,
            "wipe": shape.text,
            "began": shape.moment,
            "token": _TOKEN,
            "reason": shape.text,
            "found": shape.record({"used": shape.list_of(shape.text), "inventory": shape.document}),
            "reset": shape.list_of(_WORD),
            "left": shape.document,
        },
        {"unseen": shape.list_of(_WORD)},
    ),
    **_made(
        Kind.RECEIVED,
        {**_HEAD, "token": _LISTED, "source": shape.text},
        {"evidence": _EVIDENCE},
    ),
    **_made(Kind.REPLACED, {**_HOLDERS, "by": _TOKEN}, {**_WORK, "cause": _WORD}),
    **_made(
        Kind.UNBLOCKED,
        _HOLDERS,
        {**_WORK, **_READ, "credentials": _CREDENTIALS, "unseen": shape.list_of(_WORD)},
    ),
    **_made(Kind.ROTATED, {**_HOLDERS, **_READ}, {**_WORK, "credentials": _ENDED["credentials"]}),
    **_made(Kind.SUSPENDED, _HOLDERS, _ENDED),
    **_made(Kind.RESUMED, _HOLDERS, _ENDED),
    **_made(Kind.REVOKED, _HOLDERS, _ENDED),
    **_made(
        Kind.RETIRED,
        _EVENT,
        {**_WORK, "witness": shape.text, "means": shape.one_of("wiped", "destroyed")},
    ),
    **_made(
        Kind.ERASED,
        {**_HEAD, "holder": _HOLDER, "reason": shape.text},
        {"blobs": shape.list_of(_DIGEST)},
    ),
    **_made(
        Kind.PERSON_CHANGED,
        {
            **_HEAD,
            "person": shape.text,
            "roles": shape.list_of(shape.one_of(*map(str, Role))),
            "key": _VERIFIER_KEY,
            "reason": shape.text,
        },
    ),
    **_made(
        Kind.POLICY_CHANGED,
        {**_HEAD, "policy": _POLICY, "evidence": _EVIDENCE, "reason": shape.text},
    ),
    **_made(
        Kind.CUSTODIAN_SPLIT,
        {
            **_HEAD,
            "kid": _KID,
            "threshold": shape.number(2),
            "shares": shape.number(2),
            "reason": shape.text,
        },
    ),
    **_made(
        Kind.RECOVERY_CODES,
        {
            **_HEAD,
            "holder": _HOLDER,
            "list": _DIGEST,
            "codes": shape.number(1),
            "bits": shape.number(64),
            "until": shape.day,
            "reason": shape.text,
        },
    ),
    **_made(
        Kind.RECOVERY_CODE_USED,
        {
            **_HEAD,
            "holder": _HOLDER,
            "code": shape.pattern(
                r"[0-9a-f]{64}/[1-9][0-9]*", "a list's SHA-256, a slash and a number from 1"
            ),
            "evidence": _EVIDENCE,
            "reason": shape.text,
        },
    ),
    **_made(
        Kind.WAIVER,
        {
            **_HEAD,
            "waiver": shape.text,
            "policy": shape.text,
            "reason": shape.text,
            "until": shape.day,
        },
        {"batch": shape.text, "token": _TOKEN, "holder": _HOLDER},
    ),
    **_made(Kind.CLOCK_CORRECTED, {**_HEAD, "ahead": shape.moment, "reason": shape.text}),
    **_made(
        Kind.DRILL,
        {
            **_HEAD,
            "drill": shape.text,
            "outcome": shape.one_of("passed", "failed"),
            "facts": shape.document,
        },
        {"evidence": _EVIDENCE},
    ),
    **_made(
        Kind.BATCH_CLOSED,
        {**_HEAD, "batch": shape.text, "issued": shape.number(0), "left": shape.number(0)},
        {"reason": shape.text, "ordered": shape.number(0), "aside": shape.number(0)},
    ),
    **_made(
        Kind.KEY_ROTATED,
        {
            **_HEAD,
            "old": _VERIFIER_KEY,
            "new": _VERIFIER_KEY,
            "handover": shape.text,
            "reason": shape.text,
        },
    ),
    **_made(
        Kind.KEY_LOST,
        {
            **_HEAD,
            "old": _VERIFIER_KEY,
            "new": _VERIFIER_KEY,
            "last": shape.text,
            "reason": shape.text,
        },
    ),
}


def json_schema() -> Json:
    """All kinds as one JSON Schema (2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An entry of a tokenprov manifest, version 1",
        "$comment": "Beside it: kit.position is below kit.size, an entry is at most 65,535 bytes"
        " of RFC 8785 JSON, and docs/formats.md says what may follow what.",
        "oneOf": [{"title": kind, **check.schema} for kind, check in sorted(KINDS.items())],
    }
