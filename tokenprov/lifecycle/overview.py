"""What a station has in people's hands today, and what needs somebody soon.

Rules:
- Tokens are counted by where the manifest says they stand; nothing is asked of a token, an issuer
  or a server, and no policy is needed: `policy check` judges, this tells.
- A holder with fewer than two tokens that are accepted now is one loss away from none.
- Stock is what came with a packing list or came back, and has no order, no bar and no fault. Where
  no list was ever imported there is none to count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tokenprov.home import Home
from tokenprov.lifecycle import renewal
from tokenprov.lifecycle.renewal import Expiring
from tokenprov.model import Holder, OrderState
from tokenprov.ordering import unclosed
from tokenprov.policy.survey import Survey, survey
from tokenprov.record.history import State
from tokenprov.record.rows import Batch
from tokenprov.record.works import WorkRecord

ENOUGH = 2  # tokens of a holder: one, and another when it is lost (SP 800-63B 4.1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """A holder, None where they were erased, and the serials or marks of their tokens."""

    id: str  # of the roster; the commitment of who was erased
    holder: Holder | None
    labels: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A batch that is not closed, with how many of its orders are not issued, and failed so far."""

    batch: Batch
    left: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All of it, at one moment; what is dated is due on `until` at the latest."""

    until: date
    tokens: Counter[State]
    stock: int | None
    without_spare: Sequence[Kit]
    leaving: Sequence[Kit]
    certificates: Sequence[Expiring]
    batches: Sequence[Left]
    unfinished: Sequence[WorkRecord]


def overview(home: Home, within: timedelta) -> Overview:
    """Look at ledger and manifest. Raises ManifestError."""
    seen = survey(home)
    until = (seen.now + within).date()
    return Overview(
        until=until,
        tokens=Counter(seen.states.values()),
        stock=_stock(home, seen) if home.ledger.stock.is_kept() else None,
        without_spare=tuple(one for one in _kits(seen) if len(one.labels) < ENOUGH),
        leaving=tuple(_leaving(seen, until)),
        certificates=renewal.expiring(home, within),
        batches=tuple(_unfinished_batches(home)),
        unfinished=home.ledger.works.unfinished(),
    )


def _kits(seen: Survey) -> Iterator[Kit]:
    """Who has tokens, with those that are accepted now."""
    for who, kit in sorted(seen.kits.items()):
        yield Kit(
            id=who,
            holder=seen.holders.get(kit[0].commitment),
            labels=[made.serial for made in kit if seen.states[made.token] is State.HELD],
        )


def _leaving(seen: Survey, until: date) -> Iterator[Kit]:
    """Who still has tokens, and whose last day is past or near; the first one first."""
    found = []
    for who, kit in seen.kits.items():
        holder = seen.holders.get(kit[0].commitment)
        if holder is not None and holder.last_day is not None and holder.last_day <= until:
            labels = [made.serial for made in kit]
            found.append((holder.last_day, Kit(id=who, holder=holder, labels=labels)))
    yield from (one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].id)))


def _stock(home: Home, seen: Survey) -> int:
    ledger = home.ledger
    begun = ledger.token_states()
    back = {name[1] for name, state in seen.states.items() if state is State.STOCK}
    barred = {one.serial for one in ledger.stock.forbidden()}
    free = {one.serial for one in ledger.stock.received() if one.serial not in begun}
    return len((free | back) - barred - ledger.all_aside())


def _unfinished_batches(home: Home) -> Iterator[Left]:
    for batch in unclosed(home):
        counts = home.ledger.count_orders(batch.id)
        left = sum(counts.values()) - counts[OrderState.ISSUED]
        if left:
            yield Left(batch=batch, left=left, failed=counts[OrderState.FAILED])
