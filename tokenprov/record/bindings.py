"""Orders and tokens: which is bound to which, and what may follow what.

    OPEN ── claim ──> WORKING ── complete ──> ISSUED
      ^                 │  ^
      └──── release ────┤  └── claim, by the same token
                        └── fail ──> FAILED

Every function works within the transaction it is given. Rules:
- An order is bound to one token from `claim` until it is issued or released.
- A token is bound to one unfinished order, and to none while a wipe of it is not finished.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, select, update

from tokenprov.errors import StationError, TokenprovError, WrongToken
from tokenprov.model import OrderState
from tokenprov.record import tables as t
from tokenprov.record.canonical import timestamp
from tokenprov.record.journal import settle_envelopes
from tokenprov.record.rows import Claim, to_text, token_to_text
from tokenprov.record.wipes import refuse_unfinished

# Built once, as building takes longer than running
LOCKED_ORDER = select(t.orders).where(t.orders.c.id == bindparam("order")).with_for_update()
_OTHER_ORDER = select(t.orders.c.id).where(  # unfinished, of the same token
    t.orders.c.token_label == bindparam("label"),
    t.orders.c.state != OrderState.ISSUED.value,
    t.orders.c.id != bindparam("order"),
)
_CHANGED = update(t.orders).where(t.orders.c.id == bindparam("order"))
ALL_ISSUED_TO = (  # a holder, the oldest first
    select(t.orders)
    .where(t.orders.c.holder_id == bindparam("holder"), t.orders.c.entry_index.is_not(None))
    .order_by(t.orders.c.changed, t.orders.c.id)
)


def locked_order(connection: Connection, order_id: str) -> dict[str, Any]:
    """The order's row, held by this transaction. Raises StationError: there is none."""
    row = connection.execute(LOCKED_ORDER, {"order": order_id}).mappings().first()
    if row is None:
        raise StationError(
            f"there is no order {order_id}", remedy="See `tokenprov batch status` for the orders."
        )
    return dict(row)


def order_of_token(batch: str | None, label: str) -> Select[Any]:
    """The unfinished order that a token is bound to, else the last that it was issued for."""
    issued = t.orders.c.state == OrderState.ISSUED.value
    statement = (
        select(t.orders)
        .where(t.orders.c.token_label == label)
        .order_by(case((issued, 1), else_=0), t.orders.c.changed.desc(), t.orders.c.id.desc())
        .limit(1)
    )
    return statement if batch is None else statement.where(t.orders.c.batch == batch)


def issued_to(holder_id: str, station: str) -> Select[Any]:
    """The last order that a station issued to a holder."""
    return (
        select(t.orders)
        .where(
            t.orders.c.holder_id == holder_id,
            t.orders.c.station == station,
            t.orders.c.entry_index.is_not(None),
        )
        .order_by(t.orders.c.entry_index.desc())
        .limit(1)
    )


def bind(connection: Connection, order_id: str, claim: Claim, station: str) -> dict[str, Any]:
    """Bind the order to the token; gives its row as it then is. Raises WrongToken, StationError."""
    row, label = locked_order(connection, order_id), claim.token.label
    _refuse_issued(row, WrongToken)
    if row["token_label"] not in (None, label):
        raise WrongToken(
            f"order {order_id} is bound to token {row['token_label']}, not to {label}",
            remedy="Insert that token, or release the order for another one.",
        )
    other = connection.execute(_OTHER_ORDER, {"label": label, "order": order_id}).first()
    if other is not None:
        raise WrongToken(
            f"token {label} is bound to order {other.id}, which is not finished",
            remedy=f"Finish order {other.id} with it, or release that order.",
        )
    refuse_unfinished(connection, label)
    values = {
        "state": OrderState.WORKING.value,
        "token_label": label,
        "token": token_to_text(claim.token),
        "inventory": to_text(claim.inventory),
        "reason": None,
        "station": station,
        "changed": timestamp(claim.at),
    }
    _change(connection, order_id, **values)
    return row | values


def release(connection: Connection, order_id: str) -> None:
    """Unbind; the journal keeps what the token was told."""
    _refuse_issued(locked_order(connection, order_id))
    _change(
        connection,
        order_id,
        state=OrderState.OPEN.value,
        token_label=None,
        token=None,
        inventory=None,
        reason=None,
    )


def fail(connection: Connection, order_id: str, reason: str, at: datetime) -> None:
    """Stop with a reason, still bound."""
    _refuse_issued(locked_order(connection, order_id))
    state = OrderState.FAILED.value
    _change(connection, order_id, state=state, reason=reason, changed=timestamp(at))


def wait(connection: Connection, order_id: str, reason: str, at: datetime) -> None:
    """Stop for the time being, still bound and at work."""
    _refuse_issued(locked_order(connection, order_id))
    state = OrderState.WORKING.value
    _change(connection, order_id, state=state, reason=reason, changed=timestamp(at))


def complete(
    connection: Connection, order_id: str, entry_index: int, at: datetime, station: str
) -> None:
    """Issued: the entry is durable."""
    row = locked_order(connection, order_id)
    if row["state"] == OrderState.ISSUED.value and row["entry_index"] == entry_index:
        return
    _refuse_issued(row)
    if row["token_label"] is None:
        raise StationError(
            f"order {order_id} is bound to no token, and entry {entry_index} issues it",
            remedy="Verify the manifest; the ledger may be older than it.",
        )
    settle_envelopes(connection, order_id, row["token_label"])
    _change(
        connection,
        order_id,
        state=OrderState.ISSUED.value,
        reason=None,
        station=station,
        entry_index=entry_index,
        changed=timestamp(at),
    )


def refuse_open(connection: Connection, holder_id: str) -> None:
    """Raises StationError where an order of that holder is not issued."""
    row = connection.execute(
        select(t.orders.c.id).where(
            t.orders.c.holder_id == holder_id, t.orders.c.state != OrderState.ISSUED.value
        )
    ).first()
    if row is not None:
        raise StationError(
            f"order {row.id} of holder {holder_id} is not issued",
            remedy="Finish its batch, or close it, before the holder is erased.",
        )


def forget(connection: Connection, holder_id: str) -> int:
    """Put nobody in the holder's place, in all their orders; gives how many."""
    nobody = {"id": "erased", "name": "(erased)", "email": ""}
    done = connection.execute(
        update(t.orders)
        .where(t.orders.c.holder_id == holder_id)
        .values(holder_id=nobody["id"], holder=to_text(nobody))
    )
    return int(done.rowcount)


def _refuse_issued(row: dict[str, Any], error: type[TokenprovError] = StationError) -> None:
    if row["state"] == OrderState.ISSUED.value:
        raise error(
            f"order {row['id']} was issued to token {row['token_label']}, "
            f"entry {row['entry_index']} of the manifest",
            remedy="A further token for this holder is another order: replace, or a larger kit.",
        )


def _change(connection: Connection, order_id: str, **values: object) -> None:
    connection.execute(_CHANGED, {"order": order_id, **values})
