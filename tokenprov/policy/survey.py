"""What stands in the record, gathered once for all rules to look at: tokens, holders, acts.

It reads the manifest from its first entry to its last, the openings that are held, and what the
ledger has begun; it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from tokenprov.errors import ApprovalError, ManifestError
from tokenprov.home import Home
from tokenprov.model import Holder
from tokenprov.policy.waivers import Waiver, waivers_of
from tokenprov.record.entry import Entry, Kind, commitment_of
from tokenprov.record.history import History, State, TokenName, token_name
from tokenprov.record.memory import MemoryOfLog
from tokenprov.record.note import parse_note
from tokenprov.record.people import Person
from tokenprov.record.request import Request

_ACTS = frozenset(Kind) - {Kind.ISSUED, Kind.RECEIVED, Kind.STATION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A token as its last entry `issued` has it."""

    index: int
    token: TokenName
    commitment: str
    position: int
    profile: str
    grade: str  # empty where the entry has none
    operator: str
    batch: str
    at: datetime
    steps: Mapping[str, Mapping[str, Any]]  # what was read back, of those that matched

    @property
    def serial(self) -> str:
        """Its serial."""
        return self.token[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An entry that reports an act, with the token that it is about."""

    index: int
    entry: Entry
    at: datetime
    reported: datetime | None  # when it was requested or begun

    @property
    def serial(self) -> str:
        """The token's, or nothing."""
        return str(self.entry.get("token", {}).get("serial") or "")


@dataclass(kw_only=True)  # without slots: its cached properties need a place
class Survey:
    """All of it, at one moment."""

    home: Home
    now: datetime
    since: int = 0  # the entry that brought the rules
    made: dict[TokenName, Made] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    states: Mapping[TokenName, State] = field(default_factory=dict)

    @cached_property
    def holders(self) -> Mapping[str, Holder]:
        """Whose openings are held, by commitment."""
        found = {}
        for commitment in self.home.manifest.held_openings():
            opening = self.home.manifest.opening(commitment)
            if opening is not None:
                found[commitment] = Holder.from_json(dict(opening.holder))
        return found

    @cached_property
    def waivers(self) -> tuple[Waiver, ...]:
        """All that were ever granted."""
        return tuple(waivers_of(self.home))

    @cached_property
    def people(self) -> Mapping[str, Person]:
        """The people of the station."""
        return self.home.manifest.people()

    def held(self) -> Iterator[Made]:
        """The tokens that are in force now."""
        for name, made in self.made.items():
            if self.states[name] in (State.HELD, State.SUSPENDED):
                yield made

    @cached_property
    def kits(self) -> Mapping[str, list[Made]]:
        """The tokens in force of each holder, by the one identity that they have."""
        found: dict[str, list[Made]] = {}
        for made in self.held():
            found.setdefault(self.who(made.commitment), []).append(made)
        return found

    def who(self, commitment: str) -> str:
        """A holder's id where their opening is held, else the commitment."""
        holder = self.holders.get(commitment)
        return holder.id if holder is not None else commitment


def survey(home: Home) -> Survey:
    """Look at all of it. Raises ManifestError."""
    memory = MemoryOfLog()
    history = History(memory)
    found = Survey(home=home, now=home.clock())
    for index, entry in enumerate(home.manifest.entries()):
        with suppress(ManifestError):  # what cannot follow is for `manifest verify`
            history.add(entry)
        if entry["kind"] == Kind.ISSUED:
            made = _made(index, entry)
            found.made[made.token] = made
        elif entry["kind"] in _ACTS:
            found.done.append(_done(home, index, entry))
        if entry["kind"] == Kind.POLICY_CHANGED:
            found.since = index
    lives = ((name, memory.token(name)) for name in found.made)
    found.states = {name: life.state for name, life in lives if life is not None}
    return found


def _made(index: int, entry: Entry) -> Made:
    return Made(
        index=index,
        token=token_name(entry["token"]),
        commitment=commitment_of(entry) or "",
        position=entry["kit"]["position"],
        profile=entry["profile"]["name"],
        grade=entry["token"].get("grade", ""),
        operator=entry["operator"],
        batch=entry["batch"],
        at=datetime.fromisoformat(entry["time"]),
        steps={one["id"]: one["facts"] for one in entry["steps"] if one["state"] == "match"},
    )


def _done(home: Home, index: int, entry: Entry) -> Done:
    work = home.ledger.works.find(entry["work"]) if "work" in entry else None
    reported = work.began if work is not None else None
    for approver in entry["approvers"][:1]:
        with suppress(ManifestError, ApprovalError):  # missing or false: `manifest verify` says so
            note = parse_note(home.manifest.blob(approver["evidence"][0]["sha256"]))
            made = Request.parse(note.text).made
            reported = min(made, reported or made)
    slim = {name: entry[name] for name in entry if name not in ("secrets", "found", "left")}
    at = datetime.fromisoformat(entry["time"])
    return Done(index=index, entry=slim, at=at, reported=reported)
