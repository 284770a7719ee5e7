"""What came of a batch, from its orders and their entries: for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tokenprov.home import Home
from tokenprov.model import Holder, Json, OrderState
from tokenprov.record.entry import Entry
from tokenprov.record.rows import Batch, OrderRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One order."""

    record: OrderRecord
    entry: Entry | None

    @property
    def holder(self) -> Holder:
        """Whom it is for."""
        return self.record.order.holder

    @property
    def serial(self) -> str:
        """The token that it is bound to, if it is: its mark where it has no serial."""
        return self.record.token.label if self.record.token else ""

    @property
    def standing(self) -> str:
        """Its state, and that it waits where it does: for a certificate, and its token is sound."""
        waits = self.record.state is OrderState.WORKING and self.record.reason
        return "waits" if waits else str(self.record.state)

    def to_json(self) -> dict[str, Json]:
        """For programs; no secret is in it."""
        token = self.record.token
        document: dict[str, Json] = {
            "order": self.record.id,
            "holder": self.holder.to_json(),
            "position": self.record.order.position,
            "state": str(self.record.state),
            "serial": token.serial if token else None,
            "entry": self.record.entry_index,
        }
        if token and token.mark:
            document["mark"] = token.mark
        if self.record.reason:
            document["reason"] = self.record.reason
        if self.entry is not None:
            document["steps"] = {
                step["id"]: {"state": step["state"], **step["facts"]}
                for step in self.entry["steps"]
            }
            document["secrets"] = self.secrets
        return document

    @property
    def secrets(self) -> dict[str, list[str]]:
        """The names of the secrets that each custodian can open."""
        found: dict[str, list[str]] = {}
        for secret in self.entry["secrets"] if self.entry is not None else []:
            found.setdefault(secret["purpose"], []).append(secret["name"])
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A batch and where its orders stand; what it says is read again each time it is asked."""

    home: Home
    batch: Batch

    @property
    def counts(self) -> dict[OrderState, int]:
        """Orders by state."""
        return self.home.ledger.count_orders(self.batch.id)

    def lines(self) -> Iterator[OrderLine]:
        """Its orders with the entries of those that are issued, a page at a time in memory."""
        for record in self.home.ledger.orders(self.batch.id):
            index = record.entry_index
            entry = self.home.manifest.entry(index) if index is not None else None
            yield OrderLine(record=record, entry=entry)

    def head_to_json(self) -> dict[str, Json]:
        """For programs, without its lines."""
        return {
            "batch": self.batch.id,
            "profile": {"name": self.batch.profile_name, "digest": self.batch.profile_digest},
            "kitSize": self.batch.kit_size,
            "created": f"{self.batch.created:%Y-%m-%dT%H:%M:%SZ}",
            "operator": self.batch.operator,
            "counts": {str(state): number for state, number in self.counts.items()},
        }
