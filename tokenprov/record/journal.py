"""The journal: what was promised to a token before it was written, and the secrets sealed for it.

Every function works within the transaction it is given. Rules:
- An intent and its envelopes come together, once for each order, token, step and generation.
- They belong to the token that the order was bound to: an order that is released and bound to
  another one begins with none, and finds its old ones again with the old token.
- The station's own envelopes end with the order; the others become active. Superseded, and kept,
  is then what they replace, and whatever an earlier order left for that token.
- A token that was wiped holds nothing: what was active for it is superseded.
- A token that was issued is told something again by a work (`works`), as a further generation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from tokenprov.errors import StationError
from tokenprov.model import OrderState
from tokenprov.record import tables as t
from tokenprov.record.canonical import timestamp
from tokenprov.record.escrow import STATION
from tokenprov.record.rows import (
    EnvelopeRecord,
    EnvelopeState,
    IntentRecord,
    envelope_to_row,
    to_text,
)

BROUGHT_IN = "brought-in"  # a step that is none: of envelopes that came back from the manifest

_NEW_INTENT, NEW_ENVELOPES = insert(t.intents), insert(t.envelopes)


def _superseding() -> Update:
    """What ends when an order is settled: earlier generations of it, and all of other orders."""
    e, newer = t.envelopes, t.envelopes.alias()
    order: BindParameter[str] = bindparam("order")
    label: BindParameter[str] = bindparam("label")
    later = select(newer.c.id).where(
        newer.c.order_id == order,
        newer.c.token_label == label,
        newer.c.name == e.c.name,
        newer.c.generation > e.c.generation,
    )
    live = (EnvelopeState.PREPARED.value, EnvelopeState.ACTIVE.value)
    replaced = and_(
        e.c.token_label == label,
        or_(
            and_(e.c.order_id == order, e.c.state.in_(live), later.exists()),
            and_(e.c.order_id != order, e.c.state == EnvelopeState.ACTIVE.value),
        ),
    )
    return update(e).where(replaced).values(state=EnvelopeState.SUPERSEDED.value)


# Settling an order; built once, as building takes longer than running
_DELETE_OWN = t.envelopes.delete().where(
    t.envelopes.c.order_id == bindparam("order"), t.envelopes.c.purpose == STATION
)
_SUPERSEDE = _superseding()
_ACTIVATE = (
    update(t.envelopes)
    .where(
        t.envelopes.c.order_id == bindparam("order"),
        t.envelopes.c.token_label == bindparam("label"),
        t.envelopes.c.state == EnvelopeState.PREPARED.value,
    )
    .values(state=EnvelopeState.ACTIVE.value)
)


# What was journalled for an order and the token it is bound to, in order of writing
INTENTS_OF = (
    select(t.intents)
    .join(
        t.orders,
        and_(
            t.orders.c.id == t.intents.c.order_id,
            t.orders.c.token_label == t.intents.c.token_label,
        ),
    )
    .where(t.intents.c.order_id == bindparam("order"))
    .order_by(t.intents.c.number)
)

Promise = tuple[IntentRecord, Sequence[EnvelopeRecord]]  # an intent, with what it is to write


def journal(connection: Connection, order: dict[str, Any], promises: Sequence[Promise]) -> None:
    """Store intents of one generation, with their envelopes, for an order's row.

    Raises StationError.
    """
    if order["state"] != OrderState.WORKING.value and not _told_again(connection, promises[0][0]):
        raise StationError(
            f"order {order['id']} is {order['state']}: nothing is journalled for it",
            remedy="Claim the order for a token first.",
        )
    label = order["token_label"]
    for intent, envelopes in promises:
        if intent.order != order["id"] or not all(_is_of(e, intent, label) for e in envelopes):
            raise StationError(
                f"an envelope of {intent.step} is for another order or token than {label}, or is "
                "not what its digest says",
                remedy="Report this: it is an error in the program.",
            )
    rows = [
        {
            "order_id": intent.order,
            "token_label": label,
            "step": intent.step,
            "generation": intent.generation,
            "parameters": to_text(intent.parameters),
            "at": timestamp(intent.at),
        }
        for intent, _ in promises
    ]
    try:
        connection.execute(_NEW_INTENT, rows)
    except IntegrityError as error:  # the order is there: what is doubled is the key
        steps = ", ".join(intent.step for intent, _ in promises)
        raise StationError(
            f"{steps} generation {promises[0][0].generation} of order {order['id']} is "
            "journalled already",
            remedy="Resume with the journalled intent, or draw the next generation.",
        ) from error
    sealed = [envelope_to_row(e, intent) for intent, envelopes in promises for e in envelopes]
    if sealed:
        connection.execute(NEW_ENVELOPES, sealed)


def _is_of(envelope: EnvelopeRecord, intent: IntentRecord, label: str) -> bool:
    """Whether an envelope is for the intent's order and that token, and is whole."""
    same = envelope.order == intent.order and envelope.token_label == label
    return same and envelope.sha256 == hashlib.sha256(envelope.blob).hexdigest()


def _told_again(connection: Connection, intent: IntentRecord) -> bool:
    """Whether an open work tells the order's token that generation."""
    w = t.works.c
    mine = and_(w.order_id == intent.order, w.generation == intent.generation)
    statement = select(w.id).where(mine, w.entry_index.is_(None), w.ended.is_(None))
    return intent.generation > 1 and connection.execute(statement).first() is not None


@cache
def envelopes_by(*columns: str) -> Select[Any]:
    """The sealed secrets by the values of these columns, the oldest first."""
    wanted = [t.envelopes.c[name] == bindparam(name) for name in columns]
    return select(t.envelopes).where(*wanted).order_by(t.envelopes.c.id)


def settle_envelopes(connection: Connection, order_id: str, label: str) -> None:
    """Delete the station's copies; the last generations become active, what they replace ends."""
    values = {"order": order_id, "label": label}
    connection.execute(_DELETE_OWN, {"order": order_id})
    connection.execute(_SUPERSEDE, values)
    connection.execute(_ACTIVATE, values)


def supersede_all(connection: Connection, label: str) -> None:
    """End what is active for a token: it was wiped."""
    mine = and_(
        t.envelopes.c.token_label == label, t.envelopes.c.state == EnvelopeState.ACTIVE.value
    )
    ended = update(t.envelopes).where(mine)
    connection.execute(ended.values(state=EnvelopeState.SUPERSEDED.value))
