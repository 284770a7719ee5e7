"""A batch that is closed: a signed statement of what came of its orders, and the end of it.

Rules:
- No order of it is in the making: each is issued, or is left with no token begun for it.
- The entry comes first, then the ledger; a closed batch takes no more tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.model import Json, OrderState
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.rows import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The counts of a closed batch, in tokens, and the entry that states them."""

    batch: str
    ordered: int
    issued: int
    aside: int  # beside the orders: tokens that failed and were set aside
    left: int
    entry: int

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {
            "batch": self.batch,
            "ordered": self.ordered,
            "issued": self.issued,
            "setAside": self.aside,
            "left": self.left,
            "entry": self.entry,
        }


def close(home: Home, batch: Batch, *, reason: str, operator: str) -> Statement:
    """Close it; durable on return. `reason` says why orders are left, where some are.

    Raises `InputError`: closed before, tokens in the making, or orders left without a reason.
    """
    refuse_closed(home, batch)
    counts = home.ledger.count_orders(batch.id)
    making = counts[OrderState.WORKING] + counts[OrderState.FAILED]
    if making:
        raise InputError(
            f"{making} tokens of batch {batch.id} are begun and not finished",
            remedy="Finish them (batch run), or set them aside (batch retry, batch set-aside).",
        )
    left = counts[OrderState.OPEN]
    if left and not reason:
        raise InputError(
            f"{left} orders of batch {batch.id} are left",
            remedy="Say why it is closed all the same: --reason TEXT.",
        )
    entry: Entry = {
        **entry_head(Kind.BATCH_CLOSED, time=home.clock(), station=home.name, operator=operator),
        "batch": batch.id,
        "ordered": sum(counts.values()),
        "issued": counts[OrderState.ISSUED],
        "aside": len(home.ledger.aside_of(batch.id)),
        "left": left,
    }
    if reason:
        entry["reason"] = reason
    index = home.manifest.append(entry)
    settle(home, entry, index)
    return statement_of(entry, index)


def settle(home: Home, entry: Entry, index: int) -> None:
    """What follows the entry."""
    at = datetime.fromisoformat(entry["time"])
    home.ledger.close_batch(entry["batch"], index, entry["operator"], at)


def statement_of(entry: Entry, index: int) -> Statement:
    """The counts that an entry states."""
    return Statement(
        batch=entry["batch"],
        ordered=entry.get("ordered", entry["issued"] + entry["left"]),
        issued=entry["issued"],
        aside=entry.get("aside", 0),
        left=entry["left"],
        entry=index,
    )


def refuse_closed(home: Home, batch: Batch) -> None:
    """Raises `InputError` for a batch that takes no more tokens."""
    index = home.ledger.closed_by(batch.id)
    if index is not None:
        raise InputError(
            f"batch {batch.id} was closed by entry {index} of the manifest",
            remedy="Who is left gets a batch of their own: a roster with only them in it.",
        )
