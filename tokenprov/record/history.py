"""Which entry may follow which: the lives of a station, its orders and batches, and its tokens.

    received      new, aside, revoked                  -> stock
    issued        new, stock, aside, held by the same  -> held
    unblocked     held                                 -> held
    rotated       held                                 -> held
    suspended     held                                 -> suspended
    resumed       suspended                            -> held
    revoked       held, suspended                      -> revoked
    replaced      held, suspended, revoked             -> revoked
    set-aside     any but retired                      -> aside
    wiped         new, stock, aside, revoked, unmarked -> stock, or unmarked without a serial
    retired       new, stock, aside, revoked, unmarked -> retired

Rules:
- The first entry names the station, no later one does, and all are that station's.
- A token is its maker, its serial, and whether it is virtual; a mark stands for a serial that is
  not there, and without either it lives no life. A mark goes with a wipe, and nothing is issued by
  it again: what is in hand is a new token. Held and suspended, it is its holder's: not wiped, nor
  issued to another. An entry about a holder's token names that holder.
- A token that replaces another is held by the same holder when that is recorded.
- An order is issued once, a wipe, a waiver and a batch have one entry, so has a recovery code that
  was used, and it was given out before; nothing is issued of a
  closed batch, and its entry counts what was.
- A holder who was erased is issued nothing more under that commitment.
- A key follows the key before it; see `key_change`.
- Times do not go back, but for what processes that append side by side may differ by, and where an
  entry says which time before it was ahead.
- A person's key is nobody else's. Who approved was an approver then and not the operator, and a
  request is used once for each token, or holder where there is none, and kind of entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from tokenprov.errors import ManifestError
from tokenprov.record.entry import Entry, Kind, commitment_of
from tokenprov.record.key_change import CHANGES, key_faults
from tokenprov.record.people import Person, Role

LATE = timedelta(minutes=5)  # that an entry may wait for its turn, or a clock be put back unsaid

LATEST = "time"  # the word that is kept: the latest time of an entry

TokenName = tuple[str, str, bool]  # maker, serial, virtual


class State(StrEnum):
    """Where a token stands."""

    NEW = "new"  # never seen
    STOCK = "stock"
    HELD = "held"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    ASIDE = "aside"
    UNMARKED = "unmarked"  # emptied, and what it was known by with it: it is a new token now
    RETIRED = "retired"  # the end


class Life(NamedTuple):
    """A token's state, whose it is or was (as `Memory.known_by` says), and since which entry."""

    state: State
    holder: str | int
    entry: int


_FREE = (State.NEW, State.STOCK, State.ASIDE, State.REVOKED, State.UNMARKED)
EMPTIED = (State.STOCK, State.UNMARKED)
HELD = (State.HELD, State.SUSPENDED)
_BOUND = "bound"  # a holder to whom something was issued
_UNSEEN = Life(State.NEW, "", -1)
_MOVES: Mapping[str, tuple[tuple[State, ...], State]] = {
    Kind.RECEIVED: ((State.NEW, State.ASIDE, State.REVOKED), State.STOCK),
    Kind.ISSUED: ((State.NEW, State.STOCK, State.ASIDE, State.HELD), State.HELD),
    Kind.UNBLOCKED: ((State.HELD,), State.HELD),
    Kind.ROTATED: ((State.HELD,), State.HELD),
    Kind.SUSPENDED: ((State.HELD,), State.SUSPENDED),
    Kind.RESUMED: ((State.SUSPENDED,), State.HELD),
    Kind.REVOKED: (HELD, State.REVOKED),
    Kind.REPLACED: ((*HELD, State.REVOKED), State.REVOKED),
    Kind.SET_ASIDE: ((*_FREE, *HELD), State.ASIDE),
    Kind.WIPED: (_FREE, State.STOCK),
    Kind.RETIRED: (_FREE, State.RETIRED),
}
_ONCE: Mapping[str, str] = {
    Kind.ISSUED: "order",
    Kind.WIPED: "wipe",
    Kind.WAIVER: "waiver",
    Kind.BATCH_CLOSED: "batch",
    Kind.RECOVERY_CODES: "list",
    Kind.RECOVERY_CODE_USED: "code",
}


class Memory(Protocol):
    """What is kept of the entries before: in this process, or in a file beside the log."""

    def once(self, kind: str, name: str, index: int) -> int:
        """The entry that this happened in first: `index` where it had not."""

    def happened(self, kind: str, name: str) -> bool:
        """Whether it had."""

    def known_by(self, commitment: str) -> str | int:
        """What a holder is known by here; empty or 0 where there is none."""

    def token(self, name: TokenName) -> Life | None:
        """A token's life."""

    def set_token(self, name: TokenName, life: Life) -> None:
        """Its next state."""

    def value(self, name: str) -> str:
        """A word that was kept, or nothing."""

    def set_value(self, name: str, value: str) -> None:
        """Keep a word."""


class History:
    """Takes entries one after another, from the first or from where `memory` left off."""

    def __init__(self, memory: Memory, size: int = 0) -> None:
        self.size = size
        self._memory = memory

    @property
    def station(self) -> str:
        """The station's name, as the first entry says."""
        return self._memory.value("station")

    def add(self, entry: Entry) -> None:
        """Take the next entry. Raises ManifestError with the rule; it counts as taken anyway."""
        index = self.size
        self.size += 1
        faults = self._faults(index, entry)
        if faults:
            rule, what = faults[0]
            raise _refused(rule, index, what)

    def skip(self) -> None:
        """Count an entry that could not be read."""
        self.size += 1

    def _faults(self, index: int, entry: Entry) -> list[tuple[str, str]]:
        faults: list[tuple[str, str]] = []
        kind = entry["kind"]
        if index == 0:
            self._memory.set_value("station", entry["station"])
        if (index == 0) != (kind == Kind.STATION):
            faults.append(("first-entry", "only the first entry names the station"))
        if entry["station"] != (station := self.station):
            faults.append(("station", f"of station {entry['station']} in the log of {station}"))
        faults += self._in_time(entry)
        if kind in _ONCE:
            rule = _ONCE[kind]
            first = self._memory.once(kind, entry[rule], index)
            if first != index:
                faults.append((rule, f"{rule} {entry[rule]} is that of entry {first}"))
        if entry["approvers"] or "clearance" in entry:
            faults += self._agreed(index, entry)
        if kind == Kind.ISSUED:
            faults += self._issued(index, entry)
        elif kind == Kind.BATCH_CLOSED:
            issued = int(self._memory.value(f"batch {entry['batch']}") or 0)
            if entry["issued"] != issued:
                faults.append(("batch", f"{issued} tokens of batch {entry['batch']} were issued"))
        elif kind == Kind.ERASED:
            holder = entry["holder"]["commitment"]
            first = self._memory.once(Kind.ERASED, holder, index)
            if first != index or not self._memory.happened(_BOUND, holder):
                faults.append(
                    ("erased", "nobody was issued anything under it, or it was erased before")
                )
        elif kind in CHANGES:
            if self._memory.value("key") not in ("", entry["old"]):
                faults.append(("key", "from another key than the last one"))
            faults += [("key", what) for what in key_faults(index, entry)]
            self._memory.set_value("key", entry["new"])
        elif kind == Kind.RECOVERY_CODES:
            self._memory.set_value(f"codes {entry['list']}", str(entry["codes"]))
        elif kind == Kind.RECOVERY_CODE_USED:
            given, _, number = entry["code"].partition("/")
            if int(number) > int(self._memory.value(f"codes {given}") or 0):
                faults.append(("code", f"no recovery code {entry['code']} was given out"))
        elif kind == Kind.PERSON_CHANGED:
            faults += self._person(entry)
        if kind in _MOVES and token_name(entry["token"])[1]:
            faults += self._moved(index, entry)
        return faults

    def _in_time(self, entry: Entry) -> Iterator[tuple[str, str]]:
        time, latest = entry["time"], self._memory.value(LATEST)
        corrected = entry["kind"] == Kind.CLOCK_CORRECTED
        if corrected and entry["ahead"] != latest:
            yield "time", f"the latest time before it is {latest}, not {entry['ahead']}"
        elif not corrected and is_behind(time, latest):
            yield "time", f"made at {time}, and one before it at {latest}"
        if corrected or time > latest:
            self._memory.set_value(LATEST, time)

    def person(self, name: str) -> Person | None:
        """A person of the station, as the entries so far have them."""
        return Person.from_word(self._memory.value(f"person {name}"))

    def _person(self, entry: Entry) -> Iterator[tuple[str, str]]:
        person = Person.of_entry(entry)
        key = f"person key {person.key.identity}"
        owner = self._memory.value(key)
        if person.name != entry["person"]:
            yield "person", f"the key of {entry['person']} is named {person.name}"
        elif owner not in ("", person.name):
            yield "person", f"the key of {person.name} is that of {owner}"
        self._memory.set_value(key, person.name)
        self._memory.set_value(f"person {entry['person']}", person.to_word())

    def _agreed(self, index: int, entry: Entry) -> Iterator[tuple[str, str]]:
        clearance = entry.get("clearance", {})
        request = clearance.get("request")
        names = [approver["name"] for approver in entry["approvers"]]
        if (names and request is None) or (request is None) != ("requester" not in clearance):
            yield "approval", "it names no request that was approved"
        if not all(approver["evidence"] for approver in entry["approvers"]):
            yield "approval", "somebody is named who signed nothing"
        others = {entry["operator"], clearance.get("requester")}
        if len(set(names) - others) < len(names):
            yield "approval", "who approved is the operator, the requester, or named twice"
        for name in names:
            person = self.person(name)
            if person is None or Role.APPROVER not in person.roles:
                yield "approval", f"{name} was no approver"
        if request is not None:
            token = entry.get("token", {})
            about = token.get("serial") or token.get("mark") if token else commitment_of(entry)
            use = f"{request} {entry['kind']} {about or ''}"
            first = self._memory.once("request", use, index)
            if first != index:
                yield "approval", f"its request was used by entry {first}"

    def _issued(self, index: int, entry: Entry) -> list[tuple[str, str]]:
        faults = []
        batch, holder = f"batch {entry['batch']}", entry["holder"]["commitment"]
        if self._memory.happened(Kind.BATCH_CLOSED, entry["batch"]):
            faults.append(("batch", f"batch {entry['batch']} was closed"))
        if self._memory.happened(Kind.ERASED, holder):
            faults.append(("erased", "its holder was erased"))
        self._memory.once(_BOUND, holder, index)
        self._memory.set_value(batch, str(int(self._memory.value(batch) or 0) + 1))
        return faults

    def _moved(self, index: int, entry: Entry) -> list[tuple[str, str]]:
        faults = []
        kind = entry["kind"]
        name = token_name(entry["token"])
        life = self._memory.token(name) or _UNSEEN
        who = self._memory.known_by(commitment_of(entry) or "")
        before, after = _MOVES[kind]
        if kind == Kind.WIPED and entry["token"]["serial"] is None:
            after = State.UNMARKED
        self._memory.set_token(name, Life(after, who or life.holder, index))
        held = life.state in HELD
        named = bool(who and life.holder) and who != life.holder
        if (named and (kind != Kind.ISSUED or held)) or (kind == Kind.WIPED and held):
            faults.append(
                ("binding", f"token {name[1]} is another holder's since entry {life.entry}")
            )
        elif life.state not in before:
            since = f"token {name[1]} is {life.state} since entry {life.entry}"
            faults.append(("state", f"{since}, and {kind} cannot follow"))
        if kind == Kind.REPLACED:
            by = self._memory.token(token_name(entry["by"]))
            if by is None or (by.state, by.holder) != (State.HELD, who):
                other = token_name(entry["by"])[1]
                faults.append(("binding", f"token {other} is not held by the same holder"))
        return faults


def is_behind(time: str, latest: str) -> bool:
    """Whether an entry of that time cannot follow one of the other; both as entries have them."""
    return time < latest and datetime.fromisoformat(latest) - datetime.fromisoformat(time) > LATE


def token_name(token: Mapping[str, object]) -> TokenName:
    """What a token is known by."""
    named = token["serial"] or token.get("mark") or ""
    return str(token["maker"]), str(named), bool(token["virtual"])


def _refused(rule: str, index: int, what: str) -> ManifestError:
    return ManifestError(
        f"entry {index}: {what}",
        remedy="Ask the station's operator what happened; the log itself cannot be mended.",
        rule=rule,
        index=index,
    )
