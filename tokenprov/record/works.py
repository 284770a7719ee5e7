"""Works: what is done to a token after its issue, promised before it is begun, ended by its entry.

Rules:
- A work is of one token and one kind; the same again, while it is not finished, is the same work.
- One that writes to the token has a generation of its own: its intents and envelopes are those of
  the order that issued the token, told again.
- It ends with its entry in the manifest, or without one, which is for good: with the binding that
  it was for, or when nothing is left to be done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, and_, func, insert, select, update

from tokenprov.errors import StationError
from tokenprov.model import Json
from tokenprov.record import tables as t
from tokenprov.record.canonical import timestamp
from tokenprov.record.database import Database
from tokenprov.record.journal import settle_envelopes
from tokenprov.record.rows import Row, from_timestamp, to_text


class WorkKind(StrEnum):
    """What is done; the words are the commands'."""

    SUSPEND = "suspend"
    RESUME = "resume"
    REVOKE = "revoke"
    REPLACE = "replace"
    UNBLOCK = "unblock"
    ROTATE = "rotate"
    RENEW = "renew"
    RETURN = "return"
    RETIRE = "retire"


WRITING = (WorkKind.UNBLOCK, WorkKind.ROTATE, WorkKind.RENEW)  # to the token, and not wiping it


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRecord:
    """A work that was begun; `entry_index` is None until it is finished."""

    id: str
    kind: WorkKind
    label: str  # of the token
    order: str  # that issued it
    generation: int = 0
    parameters: Json
    reason: str
    operator: str
    began: datetime
    ended: str = ""
    entry_index: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is to be gone on with."""
        return self.entry_index is None and not self.ended


class WorkBook:
    """The works in the ledger; safe for threads."""

    def __init__(self, database: Database, station: str) -> None:
        self._database, self._station = database, station

    def begin(self, work: WorkRecord) -> WorkRecord:
        """Store it; the open one of that token and kind is given back instead.

        One that writes to the token is given its generation. Raises StationError where another
        one is writing to the token; one that promised it nothing yet is ended instead.
        """
        with self._database.write() as connection:
            open_ = and_(t.works.c.token_label == work.label, _OPEN)
            for found in connection.execute(select(t.works).where(open_)).mappings():
                there = _from_row(dict(found))
                if there.kind is work.kind:
                    return there
                if there.kind in WRITING and work.kind in WRITING:
                    if _end_unpromised(connection, there):
                        continue
                    raise StationError(
                        f"{there.kind} of token {work.label}, begun {there.began:%Y-%m-%d} by"
                        f" {there.operator}, is not finished",
                        remedy=f"Finish it first: tokenprov {there.kind} {work.label}.",
                    )
            generation = _next_generation(connection, work) if work.kind in WRITING else 0
            row = _to_row(work) | {"generation": generation, "station": self._station}
            connection.execute(insert(t.works), row)
            return _from_row(row)

    def find(self, id: str) -> WorkRecord | None:
        """The work of that id."""
        return next(iter(self._all(select(t.works).where(t.works.c.id == id))), None)

    def unfinished(self, label: str | None = None) -> list[WorkRecord]:
        """Those that are to be gone on with, the oldest first."""
        statement = select(t.works).where(_OPEN).order_by(t.works.c.began, t.works.c.id)
        return self._all(statement.where(t.works.c.token_label == label) if label else statement)

    def of(self, label: str) -> list[WorkRecord]:
        """All of a token, the oldest first."""
        mine = select(t.works).where(t.works.c.token_label == label)
        return self._all(mine.order_by(t.works.c.began, t.works.c.id))

    def note(self, id: str, parameters: Json) -> None:
        """Keep what came of a part of it; durable on return."""
        with self._database.write() as connection:
            connection.execute(
                update(t.works).where(t.works.c.id == id).values(parameters=to_text(parameters))
            )

    def end(self, label: str, kinds: Sequence[WorkKind], why: str) -> None:
        """End the open works of these kinds on a token without an entry."""
        mine = and_(t.works.c.token_label == label, t.works.c.kind.in_(map(str, kinds)), _OPEN)
        with self._database.write() as connection:
            connection.execute(update(t.works).where(mine).values(ended=why))

    def finish(self, id: str, entry_index: int) -> None:
        """Its entry is durable: what it sealed is active, and what that replaces superseded.

        A second call with the same index does nothing. Raises StationError.
        """
        mine = t.works.c.id == id
        with self._database.write() as connection:
            row = connection.execute(select(t.works).where(mine)).mappings().first()
            if row is None or row["entry_index"] not in (None, entry_index):
                raise StationError(
                    f"entry {entry_index} of the manifest finishes a work {id} that the ledger"
                    " does not have so",
                    remedy="Verify the manifest; the ledger may be older than it.",
                )
            if row["entry_index"] == entry_index:
                return
            connection.execute(update(t.works).where(mine).values(entry_index=entry_index))
            if row["generation"]:
                settle_envelopes(connection, row["order_id"], row["token_label"])

    def _all(self, statement: Select[Any]) -> list[WorkRecord]:
        with self._database.read() as connection:
            return [_from_row(dict(row)) for row in connection.execute(statement).mappings()]


_OPEN = and_(t.works.c.entry_index.is_(None), t.works.c.ended.is_(None))


def _end_unpromised(connection: Connection, work: WorkRecord) -> bool:
    """End a work that was begun and promised the token nothing; whether it was so."""
    i = t.intents.c
    told = select(i.number).where(i.order_id == work.order, i.generation == work.generation)
    if connection.execute(told).first() is not None:
        return False
    mine = update(t.works).where(t.works.c.id == work.id)
    connection.execute(mine.values(ended="nothing was promised to the token"))
    return True


def _next_generation(connection: Connection, work: WorkRecord) -> int:
    """Above all that the token was ever told, and above that of each work on it."""
    last = 1
    for table in (t.intents, t.works):
        statement = select(func.max(table.c.generation)).where(table.c.order_id == work.order)
        last = max(last, connection.execute(statement).scalar() or 0)
    return last + 1


def _to_row(work: WorkRecord) -> dict[str, Any]:
    return {
        "id": work.id,
        "kind": str(work.kind),
        "token_label": work.label,
        "order_id": work.order,
        "parameters": to_text(work.parameters),
        "reason": work.reason,
        "operator": work.operator,
        "began": timestamp(work.began),
    }


def _from_row(row: Row) -> WorkRecord:
    return WorkRecord(
        id=row["id"],
        kind=WorkKind(row["kind"]),
        label=row["token_label"],
        order=row["order_id"],
        generation=row["generation"],
        parameters=json.loads(row["parameters"]),
        reason=row["reason"],
        operator=row["operator"],
        began=from_timestamp(row["began"]),
        ended=row.get("ended") or "",
        entry_index=row.get("entry_index"),
    )
