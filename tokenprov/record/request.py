"""What is asked for, as a document that people sign: the text of a signed note.

    tokenprov/request/v1            or tokenprov/operation/v1, below
    {"about":{…},"action":…,"expires":…,"made":…,"nonce":…,"reason":…,"requester":…,"station":…}

Rules:
- The second line is RFC 8785 JSON. `about` says what is acted on and how, in words that whoever
  signs can read: each member is a text, several of a kind are sorted with commas between them.
- An operator who signs what they carry out signs the same in the first person: the requester is
  the operator, and the first line says `operation`.
- It is for one act, until `expires`, at one station; `nonce` makes it one of a kind.
- The digest of the text names the request, whoever has signed it.
- docs/formats.md has the members of `about` by action.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from tokenprov.errors import ApprovalError
from tokenprov.record import shape
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical, timestamp
from tokenprov.record.kinds import Kind

REQUEST = "tokenprov/request/v1"
OPERATION = "tokenprov/operation/v1"
NONCE = 16  # bytes

About = Mapping[str, str]


class Action(StrEnum):
    """What can be asked for: the command that does it."""

    OPEN = "open"
    EXPORT = "export"
    RESEAL = "reseal"
    ROTATE_CUSTODIAN = "rotate-custodian"
    SPLIT = "split"
    ISSUE = "issue"
    WIPE = "wipe"
    SET_ASIDE = "set-aside"
    REPLACE = "replace"
    UNBLOCK = "unblock"
    ROTATE = "rotate"
    SUSPEND = "suspend"
    RESUME = "resume"
    REVOKE = "revoke"
    RETURN = "return"
    RETIRE = "retire"
    RENEW = "renew"
    LEAVE = "leave"
    ERASE = "erase"
    RECOVERY_CODES = "recovery-codes"
    WAIVE = "waive"
    PEOPLE = "people"
    POLICY = "policy"
    ROTATE_KEY = "rotate-key"
    BEGIN_EPOCH = "begin-epoch"  # the same after a loss
    DRILL = "drill"
    IDENTIFY = "identify"  # no act: somebody saw who the holder is, and says so


# The entries that an act may cause; the first one ends it.
CAUSES: Mapping[Action, tuple[Kind, ...]] = {
    Action.OPEN: (Kind.OPENED,),
    Action.EXPORT: (Kind.OPENED,),
    Action.RESEAL: (Kind.RESEALED,),
    Action.ROTATE_CUSTODIAN: (Kind.CUSTODIAN_CHANGED,),
    Action.SPLIT: (Kind.CUSTODIAN_SPLIT,),
    Action.ISSUE: (Kind.BATCH_CLOSED, Kind.ISSUED, Kind.WIPED, Kind.SET_ASIDE),
    Action.WIPE: (Kind.WIPED,),
    Action.SET_ASIDE: (Kind.SET_ASIDE,),
    Action.REPLACE: (
        *(Kind.REPLACED, Kind.SUSPENDED, Kind.REVOKED, Kind.OPENED, Kind.WIPED, Kind.ISSUED),
    ),
    Action.UNBLOCK: (Kind.UNBLOCKED, Kind.OPENED),
    Action.ROTATE: (Kind.ROTATED, Kind.OPENED),
    Action.SUSPEND: (Kind.SUSPENDED,),
    Action.RESUME: (Kind.RESUMED,),
    Action.REVOKE: (Kind.REVOKED, Kind.SUSPENDED),
    Action.RETURN: (Kind.WIPED, Kind.REVOKED, Kind.OPENED),
    Action.RETIRE: (Kind.RETIRED, Kind.REVOKED, Kind.WIPED, Kind.OPENED),
    Action.RENEW: (Kind.ROTATED, Kind.OPENED),
    Action.LEAVE: (Kind.REVOKED, Kind.SUSPENDED),
    Action.ERASE: (Kind.ERASED,),
    Action.RECOVERY_CODES: (Kind.RECOVERY_CODES,),
    Action.WAIVE: (Kind.WAIVER,),
    Action.PEOPLE: (Kind.PERSON_CHANGED,),
    Action.POLICY: (Kind.POLICY_CHANGED,),
    Action.ROTATE_KEY: (Kind.KEY_ROTATED,),
    Action.BEGIN_EPOCH: (Kind.KEY_LOST,),
    Action.DRILL: (Kind.DRILL, Kind.OPENED),
    Action.IDENTIFY: (),
}

MANY = (Action.RESEAL, Action.LEAVE)  # of many tokens, and cut off between them: none ends these

_WORD = re.compile(r"[a-z]+(-[a-z]+)*", re.ASCII)
_MEMBERS = shape.record(
    {
        "about": shape.document,
        "action": shape.one_of(*map(str, Action)),
        "expires": shape.moment,
        "made": shape.moment,
        "nonce": shape.pattern(f"[0-9a-f]{{{2 * NONCE}}}", f"{2 * NONCE} hex digits"),
        "reason": shape.text,
        "requester": shape.text,
        "station": shape.text,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One act that somebody asks for."""

    action: Action
    about: About
    reason: str
    requester: str
    station: str
    made: datetime
    expires: datetime
    nonce: bytes
    domain: str = REQUEST

    @classmethod
    def new(
        cls,
        action: Action,
        about: About,
        *,
        reason: str,
        requester: str,
        station: str,
        made: datetime,
        lasts: timedelta,
        domain: str = REQUEST,
    ) -> Request:
        """One of a kind, by its nonce; it may be used for so long."""
        return cls(
            action=action,
            about=about,
            reason=reason,
            requester=requester,
            station=station,
            made=made.replace(microsecond=0),
            expires=made + lasts,
            nonce=secrets.token_bytes(NONCE),
            domain=domain,
        )

    def text(self) -> str:
        """What is signed."""
        document = {
            "about": dict(self.about),
            "action": str(self.action),
            "expires": timestamp(self.expires),
            "made": timestamp(self.made),
            "nonce": self.nonce.hex(),
            "reason": self.reason,
            "requester": self.requester,
            "station": self.station,
        }
        return f"{self.domain}\n{canonical(document).decode()}\n"

    @property
    def digest(self) -> str:
        """What names it: SHA-256 of its text, hex."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @classmethod
    def parse(cls, text: str, domain: str = REQUEST) -> Request:
        """Read what was signed. Raises ApprovalError."""
        first, _, line = text.removesuffix("\n").partition("\n")
        if first != domain:
            raise _refused(f"it does not begin with {domain}")
        try:
            document = parse_canonical(line.encode())
            _MEMBERS(document, "")
        except (CanonicalError, shape.ShapeError) as exc:
            raise _refused(str(exc)) from exc
        assert isinstance(document, dict), "its shape was checked"
        return cls(
            action=Action(document["action"]),
            about=_about(document["about"]),
            reason=document["reason"],
            requester=document["requester"],
            station=document["station"],
            made=datetime.fromisoformat(document["made"]),
            expires=datetime.fromisoformat(document["expires"]),
            nonce=bytes.fromhex(document["nonce"]),
            domain=domain,
        )


def _about(document: Mapping[str, Any]) -> About:
    for name, value in document.items():
        if not _WORD.fullmatch(name) or not isinstance(value, str) or not value:
            raise _refused(f"what it says of {name!r} is no text")
    return document


def _refused(what: str) -> ApprovalError:
    return ApprovalError(
        f"not a request: {what}",
        remedy="Make one with: tokenprov approve request",
        rule="request",
    )
