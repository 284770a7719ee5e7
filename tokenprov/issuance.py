"""From a token that reads back right to its entry, and what is cleared away after it.

The entry is the one moment at which a token counts as issued, and is told as that. Before it, the
same token goes on; after it, whatever was cut off is caught up with from the manifest:

    entry durable -> ledger says issued, station's copies deleted -> order's key destroyed
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenprov import aside, closing
from tokenprov.errors import ManifestError, TokenprovError
from tokenprov.home import Home
from tokenprov.model import Json, Order, TokenId
from tokenprov.policy import Clearance
from tokenprov.record.attested import named_by_maker
from tokenprov.record.entry import Entry, Grade, Kind, entry_head
from tokenprov.record.escrow import STATION
from tokenprov.record.manifest import Addition
from tokenprov.record.opening import SALT_SIZE, Opening, commit_holder
from tokenprov.record.together import Part, Together
from tokenprov.run import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuance:
    """A token that reads back right, and for which order."""

    order: Order
    token: TokenId
    outcomes: Sequence[Outcome]
    kit_size: int
    operator: str
    virtual: bool  # by its own certificate or mark; what it attested says so too
    clearance: Clearance | None = None
    issued: Callable[[int], None] = lambda entry: None  # called once it is, in whichever thread


class Issuing:
    """Records tokens as issued: all those that are ready at a moment under one checkpoint."""

    def __init__(self, home: Home, lock: threading.Lock) -> None:
        """`lock` is held while it appends."""
        self._home = home
        self._together = Together[Issuance, int](self._issue, lock)

    @property
    def waiting(self) -> int:
        """How many wait to be recorded."""
        return self._together.waiting

    def __call__(self, issuance: Issuance) -> int:
        """Record the token as issued and clear up; gives the entry's index. Safe for threads.

        Raises `DurabilityError`: the token is then issued at the next try, which looks at it
        again.
        """
        index = self._together(issuance)
        self._home.resume_keys.destroy(issuance.order.id)
        return index

    def _issue(self, group: Sequence[Part[Issuance, int]]) -> None:
        try:
            indices = _issue(self._home, [part.work for part in group])
        except ManifestError:  # one cannot be issued, and the others are none the worse for it
            for part in group:
                self._issue_alone(part)
            return
        for part, index in zip(group, indices, strict=True):
            part.result = index

    def _issue_alone(self, part: Part[Issuance, int]) -> None:
        try:
            (part.result,) = _issue(self._home, [part.work])
        except TokenprovError as error:
            part.error = error


def _issue(home: Home, issuances: Sequence[Issuance]) -> Sequence[int]:
    home.refuse_behind()  # the clock may have been set back meanwhile
    known: dict[str, Opening] = {}  # of holders, who may have several tokens here
    additions = []
    for one in issuances:
        holder = one.order.holder.id
        if holder not in known:
            known[holder] = _opening(home, one.order)
        additions.append(_addition(home, one, known[holder]))
    first = home.manifest.append_many(additions)
    indices = range(first, first + len(issuances))
    for index, one in zip(indices, issuances, strict=True):
        one.issued(index)
    orders = [one.order.id for one in issuances]
    home.ledger.complete_all(zip(orders, indices, strict=True), home.clock())
    return indices


def _addition(home: Home, one: Issuance, opening: Opening) -> Addition:
    order, token = one.order, one.token
    envelopes = [e for e in home.ledger.envelopes(order=order.id) if e.purpose != STATION]
    mine = [e for e in envelopes if e.token_label == token.label]
    entry: Entry = {
        **entry_head(Kind.ISSUED, time=home.clock(), station=home.name, operator=one.operator),
        "batch": order.batch,
        "order": order.id,
        "holder": {"commitment": opening.commitment},
        "kit": {"position": order.position, "size": one.kit_size},
        "profile": {"name": order.profile, "digest": order.profile_digest},
        "token": _token(token, one.outcomes, one.virtual),
        "steps": [step_read(outcome) for outcome in one.outcomes],
        "secrets": [envelope.to_json() for envelope in mine],
    }
    evidence = [item.data for outcome in one.outcomes for item in outcome.finding.evidence]
    blobs = (*evidence, *(envelope.blob for envelope in mine))
    addition = Addition(entry=entry, blobs=blobs, opening=opening)
    return one.clearance.cover(addition) if one.clearance else addition


def catch_up(home: Home) -> int:
    """Finish what was cut off between an entry and its clearing away; gives how many it was."""
    behind = 0
    known = home.ledger.manifest_size()
    for index, entry in enumerate(home.manifest.entries(known), start=known):
        behind += settle(home, entry, index)
    for order in home.resume_keys.orders():
        found = home.ledger.order(order)
        work = home.ledger.works.find(order)
        if (found is not None and found.entry_index is not None) or (work and not work.is_open):
            home.resume_keys.destroy(order)
    return behind


def settle(home: Home, entry: Entry, index: int) -> bool:
    """What follows an entry: the ledger knows; gives whether there is anything to know."""
    if entry["kind"] == Kind.ISSUED:
        _settle(home, entry["order"], index)
    elif entry["kind"] == Kind.WIPED:
        home.ledger.wipes.finish(entry["wipe"], index)
        token = entry["token"]
        if token["serial"] is None and "unseen" not in entry:
            home.marks().end(token.get("mark", ""), home.clock())
    elif entry["kind"] == Kind.SET_ASIDE:
        aside.settle(home, entry, index)
    elif entry["kind"] == Kind.BATCH_CLOSED:
        closing.settle(home, entry, index)
    elif "work" in entry:
        end_work(home, entry["work"], index)
    else:
        return False
    return True


def end_work(home: Home, work: str, index: int) -> None:
    """What follows the entry of a work: the ledger knows, the station's copies are gone."""
    home.ledger.works.finish(work, index)
    home.resume_keys.destroy(work)


def _settle(home: Home, order: str, index: int) -> None:
    home.ledger.complete(order, index, home.clock())
    home.resume_keys.destroy(order)


def _opening(home: Home, order: Order) -> Opening:
    """The holder's opening: that of their last token of which nothing in it changed.

    So a kit shows as one holder's, and who has two tokens is not two strangers.
    """
    for one in reversed(home.ledger.issued_to(order.holder.id)):
        if one.station == home.name and one.entry_index is not None:
            entry = home.manifest.entry(one.entry_index)
            known = home.manifest.opening(entry["holder"]["commitment"])
            if known is not None and known.holder == order.holder.to_json():
                return known
    return commit_holder(order.holder, os.urandom(SALT_SIZE))


def _token(token: TokenId, outcomes: Sequence[Outcome], virtual: bool) -> dict[str, Json]:
    facts = [outcome.finding.facts for outcome in outcomes]
    return {
        **token.to_json(),
        "virtual": virtual or any(one.get("virtual") for one in facts),
        "grade": str(grade(token, outcomes)),
    }


def grade(token: TokenId, outcomes: Sequence[Outcome]) -> Grade:
    """How the serial is known: by the maker, for all, some or none of what can attest it.

    PIV keys and FIDO2 credentials can. The steps have verified the attestations, and refused a
    serial that is another than the token's own; a FIDO2 one names it only for enterprises.
    """
    return named_by_maker(
        token.serial,
        ((o.step.id, o.finding.facts, "attestation" in o.finding.unread) for o in outcomes),
    )


def step_read(outcome: Outcome) -> dict[str, Json]:
    """What was read back for a step, as it stands in an entry."""
    finding = outcome.finding
    document: dict[str, Json] = {
        "id": outcome.step.id,
        "state": str(finding.state),
        "facts": {name: value for name, value in finding.facts.items() if name != "virtual"},
    }
    if finding.reason:
        document["reason"] = finding.reason
    if finding.unread:
        document["unread"] = list(finding.unread)
    if finding.evidence:
        document["evidence"] = [
            {"type": one.type, "sha256": hashlib.sha256(one.data).hexdigest()}
            for one in finding.evidence
        ]
    return document
