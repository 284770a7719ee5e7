"""Envelopes in the ledger as their custodians' keys change: found by key, and moved to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select, update

from tokenprov.errors import StationError
from tokenprov.record import tables as t
from tokenprov.record.database import Database
from tokenprov.record.journal import NEW_ENVELOPES
from tokenprov.record.rows import EnvelopeRecord, EnvelopeState

_PAGE = 200  # labels in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An envelope and what the same secret is sealed in from now on."""

    old: str  # SHA-256, hex
    new: EnvelopeRecord


class SealedBook:
    """What is sealed to whom; safe for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tokens(self, purpose: str, kid: str) -> Iterator[str]:
        """The labels of the tokens that have something sealed to that key, a page in memory."""
        e, last = t.envelopes.c, ""
        while True:
            statement = (
                select(e.token_label)
                .where(e.purpose == purpose, e.kid == kid, e.token_label > last)
                .distinct()
                .order_by(e.token_label)
                .limit(_PAGE)
            )
            with self._database.read() as connection:
                page = list(connection.execute(statement).scalars())
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]

    def has(self, sha256: str) -> bool:
        """Whether that envelope is there."""
        statement = select(t.envelopes.c.id).where(t.envelopes.c.sha256 == sha256)
        with self._database.read() as connection:
            return connection.execute(statement).first() is not None

    def move(self, moves: Sequence[Move]) -> None:
        """New envelopes take the place and state of old ones, which are superseded: all or none.

        What was done already is left as it is. Raises StationError: there is no such old envelope.
        """
        with self._database.write() as connection:
            for one in moves:
                _move(connection, one)


def _move(connection: Connection, one: Move) -> None:
    e = t.envelopes
    if connection.execute(select(e.c.id).where(e.c.sha256 == one.new.sha256)).first() is not None:
        return
    mine = and_(e.c.sha256 == one.old, e.c.token_label == one.new.token_label)
    old = connection.execute(select(e).where(mine)).mappings().first()
    if old is None:
        raise StationError(
            f"the ledger has no envelope {one.old[:16]} to replace",
            remedy="Verify the manifest; the ledger may be older than it.",
        )
    changed = {"kid": one.new.kid, "sha256": one.new.sha256, "blob": one.new.blob}
    row = {name: value for name, value in old.items() if name != "id"} | changed
    connection.execute(NEW_ENVELOPES, row)
    connection.execute(update(e).where(mine).values(state=EnvelopeState.SUPERSEDED.value))
