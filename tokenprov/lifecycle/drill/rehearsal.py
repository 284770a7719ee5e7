"""A drill: whom the seed picks, what is tried, and its entry."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tokenprov.errors import InputError, StationError, TokenprovError
from tokenprov.home import Home
from tokenprov.lifecycle.subject import Issued, tokens_of
from tokenprov.model import Json, OrderState
from tokenprov.policy import Act, Action, Agreement, Clearance, enforce
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.history import HELD
from tokenprov.record.manifest import Addition


class DrillKind(StrEnum):
    """What is rehearsed; the word stands in the entry."""

    PUK = "puk"
    SO_PIN = "so-pin"
    BREAK_GLASS = "break-glass"
    SPARE = "spare"
    REPLACEMENT = "replacement"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a drill, by its entry."""

    index: int
    passed: bool
    facts: Mapping[str, Json]
    error: TokenprovError | None = None


def pick(home: Home, seed: str, count: int, step: str | None = None) -> list[list[Issued]]:
    """So many holders with tokens in force, each with those, in the order that the seed gives.

    With a step only tokens that were issued with it count. Raises `InputError` where there is none.
    """
    ids = {
        one.order.holder.id
        for batch in home.ledger.batches()
        for one in home.ledger.orders(batch.id, OrderState.ISSUED)
    }
    order = sorted(ids, key=lambda id: hashlib.sha256(f"{seed}\0{id}".encode()).digest())
    found: list[list[Issued]] = []
    for holder in order:
        tokens = [one for one in tokens_of(home, holder) if one.state in HELD]
        tokens = [one for one in tokens if step is None or step in one.steps]
        if tokens:
            found.append(tokens)
        if len(found) == count:
            break
    if not found:
        kind = "" if step is None else f" with {step}"
        raise InputError(f"nobody has a token in force{kind}", remedy="Issue some first.")
    return found


def rehearse(
    home: Home,
    kind: DrillKind,
    seed: str,
    tokens: Sequence[Issued],
    act: Callable[[Clearance], dict[str, Json]],
    *,
    operator: str,
    agreement: Agreement,
) -> Result:
    """Do it and record what came of it. Raises PolicyError, ApprovalError, StationError."""
    labels = ",".join(sorted(one.label for one in tokens))
    asked = Act(
        action=Action.DRILL, operator=operator, about={"drill": str(kind), "tokens": labels}
    )
    clearance = enforce(home, asked, agreement)
    facts: dict[str, Json] = {"seed": seed, "tokens": [one.label for one in tokens]}
    failed: TokenprovError | None = None
    try:
        facts |= act(clearance)
    except StationError:
        raise
    except TokenprovError as error:
        failed = error
        facts["why"] = error.message
    entry: Entry = {
        **entry_head(Kind.DRILL, time=home.clock(), station=home.name, operator=operator),
        "drill": str(kind),
        "outcome": "failed" if failed else "passed",
        "facts": facts,
    }
    with home.working():
        index = home.manifest.append_many([clearance.cover(Addition(entry=entry))])
    return Result(index=index, passed=failed is None, facts=facts, error=failed)
