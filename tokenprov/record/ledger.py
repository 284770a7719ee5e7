"""The ledger: batches, orders, intents and sealed secrets, each change one transaction.

Rules:
- What a method has returned from is durable; a process that dies inside one has done nothing.
- An order is bound to one token from `claim` until it is issued or released; a token is bound to
  one unfinished order.
- An intent and its envelopes come together, once for each order, token, step and generation.
- `complete` is the end: the envelopes become active, the station's own are deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, tuple_

from tokenprov.errors import StationError
from tokenprov.model import Json, Order, OrderState, TokenId
from tokenprov.record import aside, bindings, journal
from tokenprov.record import tables as t
from tokenprov.record.aside import AsideRecord
from tokenprov.record.canonical import timestamp
from tokenprov.record.database import Database
from tokenprov.record.journal import Promise
from tokenprov.record.rows import (
    Batch,
    Claim,
    EnvelopeRecord,
    EnvelopeState,
    IntentRecord,
    OrderRecord,
    batch_from_row,
    batch_to_row,
    envelope_from_row,
    intent_from_row,
    order_from_row,
    order_to_row,
)
from tokenprov.record.sealed import SealedBook
from tokenprov.record.standing import Standing, standing
from tokenprov.record.stock import StockBook
from tokenprov.record.wipes import WipeBook, WipeRecord
from tokenprov.record.works import WorkBook

__all__ = [
    "Batch",
    "EnvelopeRecord",
    "EnvelopeState",
    "IntentRecord",
    "Ledger",
    "OrderRecord",
    "WipeRecord",
]

_ORDER = select(t.orders).where(t.orders.c.id == bindparam("order"))
_PAGE = 500  # orders in memory while a batch is gone through


class Ledger:
    """The working state of a station; safe for threads.

    `station` is this station's name, for a ledger that several share.
    """

    def __init__(self, url: str, *, station: str = "") -> None:
        """Open the ledger, or make it. Raises StationError, DurabilityError."""
        self._database = Database(url)
        self._station = station
        self.stock = StockBook(self._database)
        self.sealed = SealedBook(self._database)
        self.wipes = WipeBook(self._database, station)
        self.works = WorkBook(self._database, station)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # batches

    def create_batch(
        self,
        id: str,
        roster_digest: str,
        profile_name: str,
        profile_digest: str,
        profile_source: str,
        kit_size: int,
        orders: Iterable[Order],
        created: datetime,
        operator: str,
    ) -> Batch:
        """Store a batch and its orders, in the roster's order, a holder's together.

        A page of them at a time is in memory.

        The same roster, profile and kit again give the batch that is there. Raises StationError
        where `id` is another batch's.
        """
        wanted = Batch(
            id=id,
            roster_digest=roster_digest,
            profile_name=profile_name,
            profile_digest=profile_digest,
            profile_source=profile_source,
            kit_size=kit_size,
            created=created,
            operator=operator,
        )
        coming, row, last = iter(orders), -1, ""
        with self._database.write() as connection:
            same = _same_batch(roster_digest, profile_digest, kit_size)
            there = connection.execute(same).mappings().first()
            if there is not None:
                return batch_from_row(dict(there))
            if connection.execute(select(t.batches.c.id).where(t.batches.c.id == id)).first():
                raise StationError(
                    f"batch {id} is there with another roster or profile",
                    remedy="Run it again: a new batch gets another id.",
                )
            connection.execute(insert(t.batches), batch_to_row(wanted))
            while page := list(islice(coming, _PAGE)):
                rows = []
                for order in page:
                    row, last = row + (order.holder.id != last), order.holder.id
                    rows.append(order_to_row(order, row))
                connection.execute(insert(t.orders), rows)
        return wanted

    def find_batch(self, roster_digest: str, profile_digest: str, kit_size: int) -> Batch | None:
        """The batch of that roster, profile and kit, if it was ever created."""
        statement = _same_batch(roster_digest, profile_digest, kit_size)
        return next(map(batch_from_row, self._rows(statement)), None)

    def batch(self, id: str) -> Batch | None:
        """The batch of that id."""
        statement = select(t.batches).where(t.batches.c.id == id)
        return next(map(batch_from_row, self._rows(statement)), None)

    def batches(self) -> list[Batch]:
        """All, the oldest first."""
        statement = select(t.batches).order_by(t.batches.c.created, t.batches.c.id)
        return list(map(batch_from_row, self._rows(statement)))

    def close_batch(self, id: str, entry_index: int, operator: str, at: datetime) -> None:
        """Its entry is durable: it takes no more tokens. A second call does nothing."""
        row: dict[str, str | int] = {"batch": id, "operator": operator, "at": timestamp(at)}
        row |= {"station": self._station, "entry_index": entry_index}
        with self._database.write() as connection:
            if connection.execute(select(t.closed).where(t.closed.c.batch == id)).first() is None:
                connection.execute(insert(t.closed), row)

    def closed_by(self, id: str) -> int | None:
        """The entry that closed a batch."""
        rows = self._rows(select(t.closed.c.entry_index).where(t.closed.c.batch == id))
        return rows[0]["entry_index"] if rows else None

    # orders

    def orders(self, batch: str, state: OrderState | None = None) -> Iterator[OrderRecord]:
        """The orders of a batch by holder and kit position; a page at a time is in memory."""
        place = tuple_(t.orders.c.row, t.orders.c.position)
        after = (-1, -1)
        while True:
            statement = (
                select(t.orders)
                .where(t.orders.c.batch == batch, place > after)
                .order_by(t.orders.c.row, t.orders.c.position)
                .limit(_PAGE)
            )
            if state is not None:
                statement = statement.where(t.orders.c.state == state.value)
            page = list(map(order_from_row, self._rows(statement)))
            yield from page
            if len(page) < _PAGE:
                return
            after = (page[-1].row, page[-1].order.position)

    def open_orders(self, batch: str) -> list[str]:
        """The ids of the orders that nobody has begun, by holder and kit position."""
        statement = (
            select(t.orders.c.id)
            .where(t.orders.c.batch == batch, t.orders.c.state == OrderState.OPEN.value)
            .order_by(t.orders.c.row, t.orders.c.position)
        )
        with self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def open_orders_of(self, batch: str, holder_id: str) -> list[OrderRecord]:
        """A holder's orders in a batch that nobody has begun, by kit position."""
        statement = (
            select(t.orders)
            .where(
                t.orders.c.holder_id == holder_id,
                t.orders.c.batch == batch,
                t.orders.c.state == OrderState.OPEN.value,
            )
            .order_by(t.orders.c.position)
        )
        return list(map(order_from_row, self._rows(statement)))

    def count_orders(self, batch: str) -> dict[OrderState, int]:
        """How many orders stand where."""
        statement = (
            select(t.orders.c.state, func.count().label("n"))
            .where(t.orders.c.batch == batch)
            .group_by(t.orders.c.state)
        )
        found = {row["state"]: int(row["n"]) for row in self._rows(statement)}
        return {state: found.get(state.value, 0) for state in OrderState}

    def refuse_open_orders(self, holder_id: str) -> None:
        """Raises StationError where an order of that holder is not issued."""
        with self._database.read() as connection:
            bindings.refuse_open(connection, holder_id)

    def forget_holder(self, holder_id: str) -> int:
        """Keep no more of a holder in their orders than that there was one; gives how many.

        Raises StationError where an order of theirs is not issued.
        """
        with self._database.write() as connection:
            bindings.refuse_open(connection, holder_id)
            forgotten = bindings.forget(connection, holder_id)
        self._database.drop_old_pages()
        return forgotten

    def order(self, id: str) -> OrderRecord | None:
        """The order of that id."""
        return next(map(order_from_row, self._rows(_ORDER, order=id)), None)

    def issued_to(self, holder_id: str) -> list[OrderRecord]:
        """Every order that was issued to a holder, of any batch, the oldest first."""
        return list(map(order_from_row, self._rows(bindings.ALL_ISSUED_TO, holder=holder_id)))

    def standing(self, label: str) -> Standing:
        """Whether there is anything about a token that is put in."""
        with self._database.read() as connection:
            return standing(connection, label)

    def order_of_token(self, batch: str | None, label: str) -> OrderRecord | None:
        """The unfinished order that a token is bound to, else the last that it was issued for."""
        return next(map(order_from_row, self._rows(bindings.order_of_token(batch, label))), None)

    def token_states(self) -> dict[str, str]:
        """By label, where the last order of each token that was ever begun stands."""
        statement = select(t.orders.c.token_label, t.orders.c.state).order_by(t.orders.c.changed)
        rows = self._rows(statement.where(t.orders.c.token_label.is_not(None)))
        return {row["token_label"]: row["state"] for row in rows}

    def last_issued_to(self, holder_id: str) -> OrderRecord | None:
        """The last order that this station issued to a holder, of any batch."""
        return next(
            map(order_from_row, self._rows(bindings.issued_to(holder_id, self._station))), None
        )

    def claim(self, order_id: str, token: TokenId, inventory: Json, at: datetime) -> OrderRecord:
        """Bind an order to a token: WORKING. The same token may claim it again and again.

        Raises WrongToken: the order is issued, or bound to another token, or the token is to
        another order; StationError: no such order.
        """
        with self._database.write() as connection:
            wanted = Claim(token=token, inventory=inventory, at=at)
            return order_from_row(bindings.bind(connection, order_id, wanted, self._station))

    def release(self, order_id: str) -> None:
        """Unbind an order that is not issued: OPEN. What was journalled for the token is kept."""
        with self._database.write() as connection:
            bindings.release(connection, order_id)

    def fail(self, order_id: str, reason: str, at: datetime) -> None:
        """Stop an order with a reason: FAILED. It stays bound to its token."""
        with self._database.write() as connection:
            bindings.fail(connection, order_id, reason, at)

    def wait(self, order_id: str, reason: str, at: datetime) -> None:
        """Note what an order waits for: WORKING, bound to its token, which has no fault."""
        with self._database.write() as connection:
            bindings.wait(connection, order_id, reason, at)

    def complete(self, order_id: str, entry_index: int, at: datetime) -> None:
        """The order's entry is durable: ISSUED, its envelopes active, the station's own deleted.

        A second call with the same index does nothing. Raises StationError: bound to no token, or
        issued with another index.
        """
        self.complete_all([(order_id, entry_index)], at)

    def complete_all(self, issued: Iterable[tuple[str, int]], at: datetime) -> None:
        """The same for several orders and their entries: all of them, or none."""
        with self._database.write() as connection:
            for order_id, entry_index in issued:
                bindings.complete(connection, order_id, entry_index, at, self._station)

    def manifest_size(self) -> int:
        """How far this station's manifest is known here: the highest entry completed, plus one."""
        known = [
            row["last"]
            for table in (t.orders, t.wipes, t.aside, t.closed, t.works)
            for row in self._rows(
                select(func.max(table.c.entry_index).label("last")).where(
                    table.c.station == self._station
                )
            )
        ]
        return max((int(last) + 1 for last in known if last is not None), default=0)

    # tokens that are not taken again

    def set_aside(self, record: AsideRecord) -> None:
        """A token's entry is durable: its order is open again. A second call does nothing."""
        with self._database.write() as connection:
            aside.settle(connection, record, self._station)

    def aside(self, label: str) -> AsideRecord | None:
        """Since when and why a token is not taken again."""
        return next(map(aside.from_row, self._rows(aside.aside(label))), None)

    def all_aside(self) -> set[str]:
        """Every token that is not taken again."""
        return {row["token_label"] for row in self._rows(aside.ALL)}

    def aside_of(self, batch: str) -> list[AsideRecord]:
        """The tokens that were set aside from a batch's orders."""
        return list(map(aside.from_row, self._rows(aside.aside_of(batch))))

    # the journal

    def journal(self, intent: IntentRecord, envelopes: Sequence[EnvelopeRecord] = ()) -> None:
        """Store an intent and the sealed secrets it is about to write; durable on return.

        Raises StationError: the order is not being worked on, is bound to another token than the
        envelopes', or the intent is there already.
        """
        self.promise(intent.order, [(intent, envelopes)])

    def promise(
        self, order_id: str, promises: Sequence[Promise], claim: Claim | None = None
    ) -> None:
        """The same for several intents of an order; with `claim` it is bound to the token first.

        All of it or nothing. Raises what `claim` and `journal` raise.
        """

        def store(connection: Connection) -> None:
            if claim is None:
                order = bindings.locked_order(connection, order_id)
            else:
                order = bindings.bind(connection, order_id, claim, self._station)
            if promises:
                journal.journal(connection, order, promises)

        self._database.write_together(store)

    def intents(self, order_id: str) -> list[IntentRecord]:
        """What was journalled for an order and the token it is bound to, in order of writing."""
        return list(map(intent_from_row, self._rows(journal.INTENTS_OF, order=order_id)))

    def envelopes(
        self,
        token_label: str | None = None,
        order: str | None = None,
        purpose: str | None = None,
        state: EnvelopeState | None = None,
    ) -> list[EnvelopeRecord]:
        """The sealed secrets that fit, the oldest first."""
        wanted = {"token_label": token_label, "order_id": order, "purpose": purpose, "state": state}
        values = {name: str(value) for name, value in wanted.items() if value is not None}
        rows = self._rows(journal.envelopes_by(*values), **values)
        return list(map(envelope_from_row, rows))

    def _rows(self, statement: Select[Any], **values: str) -> list[dict[str, Any]]:
        with self._database.read() as connection:
            return [dict(row) for row in connection.execute(statement, values).mappings()]


def _same_batch(roster_digest: str, profile_digest: str, kit_size: int) -> Select[Any]:
    return select(t.batches).where(
        t.batches.c.roster_digest == roster_digest,
        t.batches.c.profile_digest == profile_digest,
        t.batches.c.kit_size == kit_size,
    )
