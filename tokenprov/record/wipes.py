"""Wipes: the promise to empty one token, made before its first write, and how it ended.

Every function works within the transaction it is given. Rules:
- A wipe is of one token, with a reason, an operator, and what was on the token before.
- A token that an order was begun with is not wiped, and no order is begun with a token whose wipe
  is not finished.
- It is finished by its entry in the manifest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from tokenprov.errors import StationError, WrongToken
from tokenprov.model import Json, OrderState, TokenId
from tokenprov.record import tables as t
from tokenprov.record.canonical import timestamp
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


def begin(connection: Connection, wipe: WipeRecord, station: str) -> WipeRecord:
    """Store it; the one that is not finished for that token is given back instead.

    Raises WrongToken where an order was begun with the token.
    """
    label = wipe.token.label
    there = connection.execute(open_wipe(label)).mappings().first()
    if there is not None:
        return from_row(dict(there))
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
    return wipe


def open_wipe(label: str) -> Select[Any]:
    """The wipe of a token that is not finished."""
    return select(t.wipes).where(t.wipes.c.token_label == label, t.wipes.c.entry_index.is_(None))


def finish(connection: Connection, wipe_id: str, entry_index: int) -> None:
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


def from_row(row: Row) -> WipeRecord:
    """The inverse of what `begin` stores."""
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
    )
