"""A work: agreed to, promised, done, recorded; the same again goes on with it.

Rules:
- Whether it may be done is asked each time before it is begun or gone on with (`policy.enforce`),
  once for all that it causes.
- The operator and the reason that it was begun with stand in its entry.
- The entry comes when all is done and read back; then the ledger follows it (`issuance.catch_up`
  does so after a cut).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tokenprov.home import Home
from tokenprov.issuance import end_work
from tokenprov.lifecycle.subject import Issued
from tokenprov.model import Cause, Json
from tokenprov.policy import NOBODY, Act, Action, Agreement, Clearance, enforce
from tokenprov.profile import Profile
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.manifest import Addition
from tokenprov.record.works import WRITING, WorkKind, WorkRecord
from tokenprov.wipe import refuse_forbidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Whose word it is, why, and who agreed to it."""

    operator: str
    reason: str  # in words; it stands in the entry
    agreement: Agreement = NOBODY
    clearance: Clearance | None = None  # of the act that it is part of: then it is not asked for
    parameters: Mapping[str, Json] = field(default_factory=dict)
    profile: Profile | None = None  # what is to be issued

    def because(self, cause: Cause) -> Order:
        """The same, with the cause on the record."""
        return self.with_(cause=str(cause))

    def with_(self, **parameters: Json) -> Order:
        """The same, with more of what is to be done."""
        return replace(self, parameters={**self.parameters, **parameters})


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One that was begun, and may be done."""

    record: WorkRecord
    clearance: Clearance
    token: Issued

    @property
    def part(self) -> Order:
        """What is done as a part of it, by the same people for the same reason."""
        return Order(
            operator=self.record.operator, reason=self.record.reason, clearance=self.clearance
        )


def begin(home: Home, kind: WorkKind, token: Issued, order: Order) -> Work:
    """Promise it, or find the promise that was not finished; durable when it returns.

    Raises PolicyError, ApprovalError: it may not be done; TokenConflict where a token that is never
    to be touched would be told something.
    """
    if kind in WRITING:
        refuse_forbidden(home, token.token)
    about = {"token": token.label}
    if "cause" in order.parameters:
        about["cause"] = order.parameters["cause"]
    act = Act(
        action=Action(kind),
        operator=order.operator,
        about=about,
        holder=token.entry["holder"]["commitment"],
        groups=token.holder.groups,
        profile=order.profile,
    )
    clearance = order.clearance or enforce(home, act, order.agreement)
    now = home.clock()
    record = home.ledger.works.begin(
        WorkRecord(
            id=f"{now:%Y%m%d}-{secrets.token_hex(3)}",
            kind=kind,
            label=token.label,
            order=token.order.id,
            parameters=dict(order.parameters),
            reason=order.reason,
            operator=order.operator,
            began=now,
        )
    )
    return Work(record=record, clearance=clearance, token=token)


def record(
    home: Home,
    kind: Kind,
    work: Work,
    members: Mapping[str, Json],
    *,
    blobs: Sequence[bytes] = (),
) -> int:
    """Its entry, and the end of it; gives the entry's index."""
    begun = work.record
    entry: Entry = {
        **entry_head(kind, time=home.clock(), station=home.name, operator=begun.operator),
        "token": work.token.entry["token"],
        "holder": work.token.entry["holder"],
        "reason": begun.reason,
        "work": begun.id,
        **members,
    }
    addition = work.clearance.cover(Addition(entry=entry, blobs=tuple(blobs)))
    index = home.manifest.append_many([addition])
    end_work(home, begun.id, index)
    return index
