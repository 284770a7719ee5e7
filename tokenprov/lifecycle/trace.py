"""The chain of control of a token or a holder, from enrolment to today.

Each link is a recorded event: who requested, approved and operated, and on what evidence. What
gives somebody the power to act (another token, a new PIN, an end of a suspension) is held against
the first binding: a way back in that asks for less than the way in is the weakest link (SP 800-63B
4.1.2.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenprov.home import Home
from tokenprov.lifecycle.subject import Issued
from tokenprov.model import HOLDER_PINS, Json
from tokenprov.policy.people_rules import Proof
from tokenprov.record.approval import OPERATOR_SIGNATURE
from tokenprov.record.entry import Entry, Grade, Kind
from tokenprov.record.lives import entries_of

_GIVING = (Kind.ISSUED, Kind.UNBLOCKED, Kind.RESUMED)  # somebody can do more after it
_GRADES = (Grade.ASSERTED, Grade.PARTLY, Grade.ATTESTED)  # the weakest first
_PROOFS = frozenset(map(str, Proof))
_PINS = frozenset(map(str, HOLDER_PINS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One event of the chain."""

    index: int | None  # of the entry; None for what stands in the ledger alone
    time: str
    what: str
    serial: str = ""
    reason: str = ""
    requester: str = ""
    approvers: tuple[str, ...] = ()
    operator: str = ""
    evidence: tuple[str, ...] = ()  # types, sorted
    grade: str = ""  # of a token that was issued
    faults: tuple[str, ...] = ()  # where it is missing something, or weaker than the first

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {
            "entry": self.index,
            "time": self.time,
            "what": self.what,
            "serial": self.serial,
            "reason": self.reason,
            "requester": self.requester,
            "approvers": list(self.approvers),
            "operator": self.operator,
            "evidence": list(self.evidence),
            "grade": self.grade,
            "faults": list(self.faults),
        }


def trace(home: Home, tokens: Sequence[Issued]) -> list[Link]:
    """The links of these tokens, which are one holder's, in the order of their events."""
    numbers: set[int] = set()
    for token in tokens:
        numbers |= set(home.manifest.found_by(f"serial {token.label}"))
        numbers |= set(home.manifest.found_by(f"holder {token.commitment}"))
    labels = {token.label for token in tokens}
    entries = [
        (number, entry)
        for number in sorted(numbers)
        for entry in [home.manifest.entry(number)]
        if "token" not in entry or entry["token"].get("serial") in labels
    ]
    first = next((entry for _, entry in entries if entry["kind"] == Kind.ISSUED), None)
    chain = list(_enrolled(home, tokens))
    for number, entry in entries:
        faults = tuple(_faults(home, entry, first, entries)) if first is not None else ()
        chain.append(_link(number, entry, faults))
    return sorted(chain, key=lambda one: (one.time, -1 if one.index is None else one.index))


def _enrolled(home: Home, tokens: Sequence[Issued]) -> Iterator[Link]:
    """The rosters that the holder came in by: what stands in the ledger."""
    for id in sorted({token.order.order.batch for token in tokens}):
        batch = home.ledger.batch(id)
        if batch is not None and home.ledger.works.find(id) is None:
            yield Link(
                index=None,
                time=batch.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                what="enrolled",
                reason=f"roster {batch.roster_digest[:16]} of batch {id}",
                operator=batch.operator,
            )


def _link(number: int, entry: Entry, faults: tuple[str, ...]) -> Link:
    return Link(
        index=number,
        time=entry["time"],
        what=str(entry["kind"]),
        serial=entry.get("token", {}).get("serial") or "",
        reason=entry.get("reason", ""),
        requester=entry.get("clearance", {}).get("requester", ""),
        approvers=tuple(one["name"] for one in entry["approvers"]),
        operator=entry["operator"],
        evidence=tuple(sorted(_evidence(entry))),
        grade=entry.get("token", {}).get("grade", "") if entry["kind"] == Kind.ISSUED else "",
        faults=faults,
    )


def _evidence(entry: Entry) -> set[str]:
    """The types of what was shown, attested or signed."""
    found = {one["type"] for one in entry.get("clearance", {}).get("evidence", ())}
    for part in (entry, *entry.get("steps", ()), *entry["approvers"]):
        found |= {one["type"] for one in part.get("evidence", ())}
    return found


def _faults(
    home: Home, entry: Entry, first: Entry, entries: Sequence[tuple[int, Entry]]
) -> Iterator[str]:
    kind = entry["kind"]
    if kind == Kind.ISSUED:
        yield from _unknown_origin(home, entry)
        yield from _unknown_handing_over(entry, entries)
    if kind == Kind.OPENED and _opens_pin(entry):
        yield from _same_hands(entry, entries)
    if kind not in _GIVING or entry.get("batch") == first["batch"]:
        return
    asked = first.get("clearance", {}).get("requester")
    if asked and "requester" not in entry.get("clearance", {}):
        yield "nobody requested it, and the first token was requested"
    if first["approvers"] and not entry["approvers"]:
        yield "nobody approved it, and the first token was approved"
    if OPERATOR_SIGNATURE in _evidence(first) and OPERATOR_SIGNATURE not in _evidence(entry):
        yield "its operator signed nothing, and that of the first token did"
    if not _evidence(entry) & _PROOFS:
        yield "nothing shows that the holder was authenticated (SP 800-63B 4.1.2.1)"
    if kind == Kind.ISSUED:
        yield from _weaker_grade(entry, first)


def _weaker_grade(entry: Entry, first: Entry) -> Iterator[str]:
    now, then = (Grade(one["token"].get("grade", Grade.ASSERTED)) for one in (entry, first))
    if _GRADES.index(now) < _GRADES.index(then):
        yield f"its serial is {now}, and that of the first token {then}"


def _unknown_origin(home: Home, entry: Entry) -> Iterator[str]:
    token = entry["token"]
    named = token["serial"] or token.get("mark", "")
    kinds = {one["kind"] for _, one in entries_of(home.manifest, named)}
    if not kinds & {Kind.RECEIVED, Kind.WIPED}:
        yield "where the token came from is not recorded"


def _unknown_handing_over(entry: Entry, entries: Sequence[tuple[int, Entry]]) -> Iterator[str]:
    pins = {one["sha256"] for one in entry["secrets"] if one["kind"] in _PINS}
    told = {
        one["sha256"]
        for _, other in entries
        if other["kind"] == Kind.OPENED and other["form"] != "token"
        for one in other["secrets"]
    }
    if pins and not pins & told:
        yield "how its PIN came to the holder is not recorded"


def _opens_pin(entry: Entry) -> bool:
    return entry["form"] != "token" and any(one["kind"] in _PINS for one in entry["secrets"])


def _same_hands(entry: Entry, entries: Sequence[tuple[int, Entry]]) -> Iterator[str]:
    """ETSI EN 319 411-1, 6.3.3: who has the token does not have its PIN."""
    makers = {
        other["operator"]
        for _, other in entries
        if other["kind"] == Kind.ISSUED and other["token"]["serial"] == entry["token"]["serial"]
    }
    if entry["operator"] in makers:
        yield f"{entry['operator']} made the token, and opened its PIN"


def weakest(chain: Sequence[Link]) -> list[Link]:
    """The links that something is said of."""
    return [link for link in chain if link.faults]
