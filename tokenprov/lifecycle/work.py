"""A work: agreed to, promised, done, recorded; the same again goes on with it.

Rules:
- What is agreed to is agreed to once: whoever goes on with a work is not asked again, and the
  names and the reason that it was begun with stand in its entry.
- The entry comes when all is done and read back; then the ledger follows it (`issuance.catch_up`
  does so after a cut).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tokenprov.home import Home
from tokenprov.issuance import end_work
from tokenprov.lifecycle.subject import Issued
from tokenprov.model import Cause, Json
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.works import WorkKind, WorkRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Whose word it is, and why."""

    operator: str
    reason: str  # in words; it stands in the entry
    parameters: dict[str, Json] = field(default_factory=dict)

    def because(self, cause: Cause) -> Order:
        """The same, with the cause on the record."""
        return replace(self, parameters={**self.parameters, "cause": str(cause)})


def begin(home: Home, kind: WorkKind, token: Issued, order: Order) -> WorkRecord:
    """Promise it, or find the promise that was not finished; durable when it returns."""
    now = home.clock()
    return home.ledger.works.begin(
        WorkRecord(
            id=f"{now:%Y%m%d}-{secrets.token_hex(3)}",
            kind=kind,
            label=token.label,
            order=token.order.id,
            parameters=order.parameters,
            reason=order.reason,
            operator=order.operator,
            began=now,
        )
    )


def record(
    home: Home,
    kind: Kind,
    work: WorkRecord,
    token: Issued,
    members: dict[str, Json] | None = None,
    *,
    blobs: Sequence[bytes] = (),
) -> int:
    """Its entry, and the end of it; gives the entry's index."""
    entry: Entry = {
        **entry_head(kind, time=home.clock(), station=home.name, operator=work.operator),
        "token": token.entry["token"],
        "holder": token.entry["holder"],
        "reason": work.reason,
        "work": work.id,
        **(members or {}),
    }
    index = home.manifest.append(entry, blobs=blobs)
    end_work(home, work.id, index)
    return index
