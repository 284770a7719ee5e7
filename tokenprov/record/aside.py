"""Tokens that were set aside: never taken again, and what they were begun for goes to others.

Every function works within the transaction it is given. Rules:
- It is the entry in the manifest that sets a token aside; what is done here follows it.
- The order is open again for the next token. The custodians' envelopes stay, under the old token;
  the station's own copies for it are deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from tokenprov.errors import StationError
from tokenprov.model import OrderState
from tokenprov.record import tables as t
from tokenprov.record.bindings import release
from tokenprov.record.canonical import timestamp
from tokenprov.record.escrow import STATION
from tokenprov.record.rows import Row, from_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideRecord:
    """A token that is not taken again; `order` and `batch` are "" where it was begun for none."""

    label: str
    order: str
    batch: str
    reason: str
    operator: str
    at: datetime
    entry_index: int


def settle(connection: Connection, record: AsideRecord, station: str) -> None:
    """Store it, and release the order that the token is bound to. A second call does nothing."""
    if connection.execute(aside(record.label)).first() is not None:
        return
    if record.order:
        row = connection.execute(
            select(t.orders.c.token_label, t.orders.c.state).where(t.orders.c.id == record.order)
        ).first()
        if row is None:
            raise StationError(
                f"entry {record.entry_index} of the manifest sets a token of order {record.order}"
                " aside, which the ledger does not have",
                remedy="Verify the manifest; the ledger may be older than it.",
            )
        if row.token_label == record.label and row.state != OrderState.ISSUED.value:
            e = t.envelopes.c
            connection.execute(
                t.envelopes.delete().where(
                    e.order_id == record.order,
                    e.token_label == record.label,
                    e.purpose == STATION,
                )
            )
            release(connection, record.order)
    connection.execute(
        insert(t.aside).values(
            token_label=record.label,
            order_id=record.order,
            batch=record.batch,
            reason=record.reason,
            operator=record.operator,
            at=timestamp(record.at),
            station=station,
            entry_index=record.entry_index,
        )
    )


ALL = select(t.aside.c.token_label)


def aside(label: str) -> Select[Any]:
    """The record of one token."""
    return select(t.aside).where(t.aside.c.token_label == label)


def aside_of(batch: str) -> Select[Any]:
    """The tokens of a batch's orders, in the order of their entries."""
    return select(t.aside).where(t.aside.c.batch == batch).order_by(t.aside.c.entry_index)


def from_row(row: Row) -> AsideRecord:
    """The inverse of what `settle` stores."""
    return AsideRecord(
        label=row["token_label"],
        order=row["order_id"],
        batch=row["batch"],
        reason=row["reason"],
        operator=row["operator"],
        at=from_timestamp(row["at"]),
        entry_index=row["entry_index"],
    )
