"""What came of a batch, from its orders and their entries: for people and for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tokenprov.home import Home
from tokenprov.model import Holder, Json, OrderState
from tokenprov.record.entry import Entry
from tokenprov.record.rows import Batch, OrderRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One order."""

    record: OrderRecord
    entry: Entry | None

    @property
    def holder(self) -> Holder:
        """Whom it is for."""
        return self.record.order.holder

    @property
    def serial(self) -> str:
        """The token that it is bound to, if it is."""
        return self.record.token.label if self.record.token else ""

    def to_json(self) -> dict[str, Json]:
        """For programs; no secret is in it."""
        document: dict[str, Json] = {
            "order": self.record.id,
            "holder": self.holder.to_json(),
            "position": self.record.order.position,
            "state": str(self.record.state),
            "serial": self.serial or None,
            "entry": self.record.entry_index,
        }
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
    """A batch and where its orders stand."""

    batch: Batch
    lines: tuple[Line, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Orders by state."""
        found = Counter(line.record.state for line in self.lines)
        return {str(state): found[state] for state in OrderState}

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {
            "batch": self.batch.id,
            "profile": {"name": self.batch.profile_name, "digest": self.batch.profile_digest},
            "kitSize": self.batch.kit_size,
            "created": f"{self.batch.created:%Y-%m-%dT%H:%M:%SZ}",
            "operator": self.batch.operator,
            "counts": self.counts,
            "orders": [line.to_json() for line in self.lines],
        }


def report(home: Home, batch: Batch) -> Report:
    """Read a batch's orders and the entries of those that are issued."""
    return Report(
        batch=batch,
        lines=tuple(
            Line(
                record=record,
                entry=home.manifest.entry(record.entry_index)
                if record.entry_index is not None
                else None,
            )
            for record in home.ledger.orders(batch.id)
        ),
    )
