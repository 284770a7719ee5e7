"""Wipes: the promise to empty one token, made before its first write, and how it ended.

Rules:
- A wipe is of one token, with a reason, an operator, and what was on the token before.
- A token that an order was begun with is not wiped, and no order is begun with a token whose wipe
  is not finished.
- What a token is known by may go with its reset: that it is about to be sent is noted before.
- It is finished by its entry in the manifest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from tokenprov.errors import StationError, WrongToken
from tokenprov.model import Json, OrderState, TokenId
from tokenprov.record import tables as t
from tokenprov.record.canonical import timestamp
from tokenprov.record.database import Database
from tokenprov.record.journal import supersede_all
from tokenprov.record.rows import Row, from_timestamp, to_text, token_from_text, token_to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class WipeRecord:
    """A wipe that was begun; `entry_index` is None until it is finished."""

    id: str
    token: TokenId
    reason: str
    operator: str
    found: Json  # {"used": [...], "inventory": {...}}
    began: datetime
    entry_index: int | None = None
    sent: datetime | None = None  # when the reset that ends its mark was about to be sent
    next_mark: str = ""  # that the emptied token was to get; whether it did, its file tells


class WipeBook:
    """The wipes of a station; safe for threads."""

    def __init__(self, database: Database, station: str) -> None:
        self._database, self._station = database, station

    def begin(self, wipe: WipeRecord) -> WipeRecord:
        """Promise to empty a token; the one that is not finished for it goes on instead.

        Raises WrongToken where an order was begun with the token.
        """
        with self._database.write() as connection:
            there = connection.execute(open_wipe(wipe.token.label)).mappings().first()
            if there is not None:
                return _from_row(dict(there))
            _insert(connection, wipe, self._station)
            return wipe

    def open(self, label: str) -> WipeRecord | None:
        """The wipe of a token that is not finished."""
        with self._database.read() as connection:
            row = connection.execute(open_wipe(label)).mappings().first()
            return _from_row(dict(row)) if row is not None else None

    def unseen(self) -> list[WipeRecord]:
        """Those that are not finished, and whose reset was about to be sent; the oldest first."""
        with self._database.read() as connection:
            mine = _UNFINISHED.where(t.resets.c.at.is_not(None), t.wipes.c.station == self._station)
            rows = connection.execute(mine.order_by(t.resets.c.at)).mappings()
            return [_from_row(dict(row)) for row in rows]

    def send(self, wipe_id: str, at: datetime | None) -> None:
        """The reset that ends the token's mark is about to be sent; None: it was not done."""
        with self._database.write() as connection:
            connection.execute(delete(t.resets).where(t.resets.c.wipe == wipe_id))
            if at is not None:
                connection.execute(insert(t.resets).values(wipe=wipe_id, at=timestamp(at)))

    def ending_marks(self) -> list[WipeRecord]:
        """Those that are finished and ended a mark, the last one first."""
        with self._database.read() as connection:
            mine = _WITH_RESET.where(
                t.wipes.c.entry_index.is_not(None),
                t.wipes.c.station == self._station,
                t.resets.c.at.is_not(None),
            )
            rows = connection.execute(mine.order_by(t.wipes.c.entry_index.desc())).mappings()
            return [_from_row(dict(row)) for row in rows]

    def mark(self, wipe_id: str, mark: str) -> None:
        """The token that was emptied is about to get that mark, and goes on by it."""
        mine = t.resets.c.wipe == wipe_id
        with self._database.write() as connection:
            connection.execute(update(t.resets).where(mine).values(mark=mark))

    def finish(self, wipe_id: str, entry_index: int) -> None:
        """Its entry is durable; a second call with the same index does nothing."""
        with self._database.write() as connection:
            _finish(connection, wipe_id, entry_index)


_WITH_RESET = select(t.wipes, t.resets.c.at.label("sent"), t.resets.c.mark).select_from(
    t.wipes.outerjoin(t.resets)
)
_UNFINISHED = _WITH_RESET.where(t.wipes.c.entry_index.is_(None))


def open_wipe(label: str) -> Select[Any]:
    """The wipe of a token that is not finished."""
    return _UNFINISHED.where(t.wipes.c.token_label == label)


def _insert(connection: Connection, wipe: WipeRecord, station: str) -> None:
    label = wipe.token.label
    bound = connection.execute(
        select(t.orders.c.id).where(
            t.orders.c.token_label == label, t.orders.c.state != OrderState.ISSUED.value
        )
    ).first()
    if bound is not None:
        raise WrongToken(
            f"token {label} is bound to order {bound.id}, which is not finished",
            remedy=f"Finish order {bound.id} with it: run its batch again, without --wipe.",
        )
    connection.execute(
        insert(t.wipes).values(
            id=wipe.id,
            token_label=label,
            token=token_to_text(wipe.token),
            reason=wipe.reason,
            operator=wipe.operator,
            found=to_text(wipe.found),
            began=timestamp(wipe.began),
            station=station,
        )
    )


def _finish(connection: Connection, wipe_id: str, entry_index: int) -> None:
    """Its entry is durable: the token holds no secret. The same once more does nothing."""
    mine = t.wipes.c.id == wipe_id
    row = connection.execute(select(t.wipes).where(mine)).first()
    if row is None or row.entry_index not in (None, entry_index):
        raise StationError(
            f"entry {entry_index} of the manifest finishes a wipe {wipe_id} that the ledger does"
            " not have so",
            remedy="Verify the manifest; the ledger may be older than it.",
        )
    if row.entry_index is not None:
        return
    connection.execute(update(t.wipes).where(mine).values(entry_index=entry_index))
    supersede_all(connection, row.token_label)


def refuse_unfinished(connection: Connection, label: str) -> None:
    """Raises WrongToken for a token whose wipe is not finished."""
    row = connection.execute(open_wipe(label)).first()
    if row is not None:
        raise WrongToken(
            f"the wipe of token {label}, begun {row.began} by {row.operator}, is not finished",
            remedy=f"Finish it: run the batch again with --wipe {label} and the reason.",
        )


def _from_row(row: Row) -> WipeRecord:
    token = token_from_text(row["token"])
    assert token is not None, "the column is never null"
    return WipeRecord(
        id=row["id"],
        token=token,
        reason=row["reason"],
        operator=row["operator"],
        found=json.loads(row["found"]),
        began=from_timestamp(row["began"]),
        entry_index=row["entry_index"],
        sent=from_timestamp(row["sent"]) if row["sent"] else None,
        next_mark=row["mark"] or "",
    )
