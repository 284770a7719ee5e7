"""Which tokens a station may take: its stock, those never to be touched, and those set aside.

Rules:
- Where anything was ever imported, a token that is not in it is nobody's business here.
- Never is for good: nothing takes a serial from that list.
- A serial is a token's, as text without leading zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, insert, select

from tokenprov.record import tables as t
from tokenprov.record.canonical import timestamp
from tokenprov.record.database import Database
from tokenprov.record.rows import from_timestamp

_PAGE = 500  # serials in one statement: SQLite takes at least 999 values


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A serial on one of the lists: since when, by whom, and from which file or why."""

    serial: str
    note: str
    operator: str
    at: datetime


class StockBook:
    """The lists in the ledger; safe for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def receive(self, serials: Sequence[str], note: str, operator: str, at: datetime) -> int:
        """Take serials into the stock, one transaction; gives how many were not there yet."""
        return self._add(t.stock, serials, note, operator, at)

    def forbid(self, serials: Sequence[str], note: str, operator: str, at: datetime) -> int:
        """Take serials into the list never to be touched; gives how many were not there yet."""
        return self._add(t.never, serials, note, operator, at)

    def received(self) -> list[Listed]:
        """The stock, by when it came."""
        return self._all(t.stock)

    def forbidden(self) -> list[Listed]:
        """The list never to be touched."""
        return self._all(t.never)

    def is_kept(self) -> bool:
        """Whether anything was ever imported."""
        with self._database.read() as connection:
            return connection.execute(select(t.stock.c.serial).limit(1)).first() is not None

    def holds(self, serial: str) -> bool:
        """Whether that token is in the stock."""
        return self._find(t.stock, serial) is not None

    def prohibition(self, serial: str) -> Listed | None:
        """Since when and why that token is never to be touched."""
        return self._find(t.never, serial)

    def _add(
        self, table: Table, serials: Sequence[str], note: str, operator: str, at: datetime
    ) -> int:
        fresh = 0
        with self._database.write() as connection:
            for start in range(0, len(serials), _PAGE):
                page = serials[start : start + _PAGE]
                there = set(
                    connection.execute(
                        select(table.c.serial).where(table.c.serial.in_(page))
                    ).scalars()
                )
                rows = [
                    {"serial": one, "note": note, "operator": operator, "at": timestamp(at)}
                    for one in page
                    if one not in there
                ]
                if rows:
                    connection.execute(insert(table), rows)
                fresh += len(rows)
        return fresh

    def _all(self, table: Table) -> list[Listed]:
        by_age = select(table).order_by(table.c.at, func.length(table.c.serial), table.c.serial)
        with self._database.read() as connection:
            return [_listed(dict(row)) for row in connection.execute(by_age).mappings()]

    def _find(self, table: Table, serial: str) -> Listed | None:
        with self._database.read() as connection:
            row = (
                connection.execute(select(table).where(table.c.serial == serial)).mappings().first()
            )
            return _listed(dict(row)) if row is not None else None


def _listed(row: dict[str, Any]) -> Listed:
    return Listed(
        serial=row["serial"],
        note=row["note"],
        operator=row["operator"],
        at=from_timestamp(row["at"]),
    )
