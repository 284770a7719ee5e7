"""One database behind the ledger: opened, made, and its errors explained.

Rules:
- SQLite: write-ahead log, synchronous FULL (a commit that was acknowledged is on the disk), foreign
  keys, secure_delete, file mode 0600; a writing transaction takes its lock at the beginning.
- PostgreSQL and others by URL; the rows that a transaction decides on are locked by it.
- In a process one thread writes at a time, any number read. What several threads have waiting for
  `write_together` is committed at once by the first of them: each returns when that commit is on
  the disk, and what one of them refuses leaves the others' as they are.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url, select

from tokenprov.errors import DurabilityError, StationBusy, StationError, TokenprovError
from tokenprov.record.files import make_folder
from tokenprov.record.tables import SCHEMA, meta, metadata
from tokenprov.record.together import Part, Together

_BUSY = 10_000  # milliseconds to wait for another process's transaction
_IS_SCHEMA = meta.c.name == "schema"
_EARLIER = frozenset(map(str, range(1, SCHEMA)))  # see tables.py


_Work = Callable[[Connection], None]  # a part of a transaction


class Database:
    """A pool of connections; `read` and `write` give transactions."""

    def __init__(self, url: str) -> None:
        """Connect, and make the tables where there are none.

        Raises StationError: no database, or one of a later schema; DurabilityError.
        """
        parsed = make_url(url)
        self._where = parsed.render_as_string(hide_password=True)
        self._writing = threading.Lock()
        self.together = Together[_Work, None](self._commit, self._writing)
        if parsed.get_backend_name() == "sqlite":
            self._engine = _sqlite(parsed)
        else:
            self._engine = create_engine(parsed, pool_pre_ping=True)
        with self.write() as connection:
            metadata.create_all(connection)
            row = connection.execute(select(meta.c.value).where(_IS_SCHEMA)).first()
            if row is None:
                connection.execute(meta.insert().values(name="schema", value=str(SCHEMA)))
            elif row.value in _EARLIER:  # what they lack was made above
                connection.execute(meta.update().values(value=str(SCHEMA)).where(_IS_SCHEMA))
            elif row.value != str(SCHEMA):
                raise StationError(
                    f"the ledger {self._where} has schema {row.value}; this program knows {SCHEMA}",
                    remedy="Use the version of tokenprov that last wrote to this station.",
                )

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing."""
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable once the block has ended, or has not been."""
        with self._explained(), self._writing, self._transaction() as connection:
            yield connection

    def drop_old_pages(self) -> None:
        """Empty SQLite's write-ahead log, which has what rows said before; others keep none."""
        with self._explained(), self._writing, self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def write_together(self, work: _Work) -> None:
        """Do a part of a transaction; durable on return, or not done and the error raised.

        The others' parts may be in the same transaction, so `work` looks at rows of its own.
        """
        with self._explained():
            self.together(work)

    def _commit(self, group: Sequence[Part[_Work, None]]) -> None:
        """Commit what waits, but for what is refused; a commit that fails fails them all."""
        with self._transaction() as connection:
            if len(group) == 1:
                group[0].work(connection)
            else:
                self._do_each(connection, group)

    @staticmethod
    def _do_each(connection: Connection, group: Sequence[Part[_Work, None]]) -> None:
        for one in group:
            try:
                with connection.begin_nested():
                    one.work(connection)
            except TokenprovError as error:
                one.error = error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.connect() as plain:
            connection = plain.execution_options(tokenprov_write=True)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError as error:
            raise StationError(
                f"the ledger {self._where} refuses a record that contradicts another",
                remedy="Run the command again; if it happens again, report it with the log.",
            ) from error
        except exc.OperationalError as error:
            if "locked" in str(error.orig):
                raise StationBusy(
                    f"the ledger {self._where} is in use by another program",
                    remedy="End the program that has the ledger open, and run it again.",
                ) from error
            raise DurabilityError(
                f"the ledger {self._where} could not be read or written: {error.orig}",
                remedy="Look at the disk's free space and at its rights, and run it again.",
            ) from error
        except exc.DatabaseError as error:
            raise StationError(
                f"the ledger {self._where} is damaged, or is no ledger: {error.orig}",
                remedy="Keep the file as it is, and restore the last copy.",
            ) from error


def sqlite_url(path: Path) -> str:
    """The URL of a ledger in a file."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    if not url.database or url.database == ":memory:":
        raise StationError(
            "a ledger in memory would not outlive the process", remedy="Give the path of a file."
        )
    make_folder(path.parent, 0o700)
    # made here for its mode, which SQLite gives to its other files (-wal, -shm) too
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        raise DurabilityError(
            f"the ledger {path} cannot be opened: {error.strerror}",
            remedy="Check the path, its rights and the disk.",
        ) from error
    engine = create_engine(url, connect_args={"timeout": _BUSY / 1000})

    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the transactions are begun below, not by the driver
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
            f"busy_timeout={_BUSY}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def begun(connection: Connection) -> None:
        writing = connection.get_execution_options().get("tokenprov_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine
