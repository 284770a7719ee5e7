"""What was said of whom, beside the log: tokens' lives, and which entries name a serial or holder.

A SQLite file next to the manifest's folder, made from the entries alone. Rules:
- It is no record: where it is missing, behind, or of another log, it is made again from the
  entries. It is written after the checkpoint, and never before.
- What is added and then not committed leaves no trace: a refused entry changes nothing.
- A power cut may take its last additions (`synchronous` is NORMAL), never its form.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tokenprov.errors import ManifestError, StationError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import Entry, Kind, commitment_of
from tokenprov.record.history import History, Life, State, TokenName

_FOUND = (Kind.WAIVER, Kind.RESEALED)  # by their kind, though they may name a token
_SCHEMA = 4
_TABLES = """
CREATE TABLE once (name TEXT PRIMARY KEY, entry INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE lives (name TEXT PRIMARY KEY, state TEXT NOT NULL, holder TEXT NOT NULL,
                    entry INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE words (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE mentions (name TEXT NOT NULL, entry INTEGER NOT NULL,
                       PRIMARY KEY (name, entry)) WITHOUT ROWID;
"""


def index_path(folder: Path) -> Path:
    """The file beside a manifest's folder."""
    return folder.with_name(f"{folder.name}.index")


def names_in(entry: Entry) -> Iterator[str]:
    """What an entry is found by.

    `serial N` for each token (its mark where it has none), `holder C` for the commitment, `kind K`
    where it is about no token, grants a waiver or reseals, `request D` for what was approved,
    `evidence D` for what else was shown.
    """
    for token in (entry.get("token"), entry.get("by")):
        named = token and (token.get("serial") or token.get("mark"))
        if named:
            yield f"serial {named}"
    commitment = commitment_of(entry)
    if commitment:
        yield f"holder {commitment}"
    if "token" not in entry or entry["kind"] in _FOUND:
        yield f"kind {entry['kind']}"
    clearance = entry.get("clearance", {})
    if "request" in clearance:
        yield f"request {clearance['request']}"
    for shown in clearance.get("evidence", ()):
        yield f"evidence {shown['sha256']}"


class Index:
    """Open for one writer; `History` keeps its memory here."""

    def __init__(self, path: Path) -> None:
        """Raises StationError where the file cannot be used; so does whatever uses it."""
        self._path = path
        with self._usable():
            self._database = _opened(path)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as exc:
            raise StationError(
                f"{self._path} cannot be used: {exc}",
                remedy="Delete it: it is made again from the manifest.",
            ) from exc

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def is_at(self, head: Checkpoint) -> bool:
        """Whether it has the entries of this log, and no others."""
        return (self.value("size"), self.value("root")) == (str(head.size), head.root.hex())

    def catch_up(
        self,
        head: Checkpoint,
        root: Callable[[int], bytes],
        entries: Callable[[int], Iterable[Entry]],
    ) -> None:
        """Take the entries that it does not have; all of them where it is of another history.

        `root` gives the root of the log at a size, `entries` the entries from a number on.
        """
        if self.is_at(head):
            return
        size = int(self.value("size") or 0)
        if size > head.size or self.value("root") != root(size).hex():
            with self._usable(), self._database:
                for table in ("once", "lives", "words", "mentions"):
                    self._database.execute(f"DELETE FROM {table}")
            size = 0
        history = History(self, size)
        with self._usable(), self._database:
            for entry in entries(size):
                with suppress(ManifestError):  # it is in the log: `verify` names it
                    history.add(entry)
                self._mention(history.size - 1, entry)
            self._at(history.size, head.root)

    def admit(self, first: int, entries: Iterable[Entry]) -> None:
        """Whether these can follow, as the entries from `first` on; then `settle` or `forget`.

        Raises ManifestError with the rule; nothing is kept then.
        """
        history = History(self, first)
        try:
            for entry in entries:
                history.add(entry)
                self._mention(history.size - 1, entry)
        except ManifestError:
            self.forget()
            raise

    def settle(self, size: int, root: bytes) -> None:
        """Keep what was admitted: the checkpoint is durable."""
        self._at(size, root)
        with self._usable():
            self._database.commit()

    def forget(self) -> None:
        """Keep nothing of it."""
        self._database.rollback()

    def mentions(self, name: str) -> list[int]:
        """The entries that are found by a name of `names_in`, the oldest first."""
        rows = self._execute("SELECT entry FROM mentions WHERE name = ? ORDER BY entry", name)
        return [entry for (entry,) in rows]

    # Memory

    def once(self, kind: str, name: str, index: int) -> int:
        self._execute("INSERT OR IGNORE INTO once VALUES (?, ?)", f"{kind} {name}", index)
        return int(self._one("SELECT entry FROM once WHERE name = ?", f"{kind} {name}")[0])

    def happened(self, kind: str, name: str) -> bool:
        return bool(self._one("SELECT entry FROM once WHERE name = ?", f"{kind} {name}"))

    def known_by(self, commitment: str) -> str:
        return commitment

    def token(self, name: TokenName) -> Life | None:
        row = self._one("SELECT state, holder, entry FROM lives WHERE name = ?", _text(name))
        return Life(State(row[0]), row[1], row[2]) if row else None

    def set_token(self, name: TokenName, life: Life) -> None:
        values = (_text(name), life.state.value, life.holder, life.entry)
        self._execute("INSERT OR REPLACE INTO lives VALUES (?, ?, ?, ?)", *values)

    def value(self, name: str) -> str:
        row = self._one("SELECT value FROM words WHERE name = ?", name)
        return str(row[0]) if row else ""

    def set_value(self, name: str, value: str) -> None:
        self._execute("INSERT OR REPLACE INTO words VALUES (?, ?)", name, value)

    def _one(self, statement: str, name: str) -> tuple[Any, ...]:
        return next(iter(self._execute(statement, name)), ())

    def _execute(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._usable():
            return self._database.execute(statement, values).fetchall()

    def _mention(self, number: int, entry: Entry) -> None:
        for name in names_in(entry):
            self._execute("INSERT OR IGNORE INTO mentions VALUES (?, ?)", name, number)

    def _at(self, size: int, root: bytes) -> None:
        self.set_value("size", str(size))
        self.set_value("root", root.hex())


def _text(name: TokenName) -> str:
    maker, serial, virtual = name
    return f"{maker}\n{serial}\n{int(virtual)}"


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, timeout=30)  # seconds
    try:
        _prepare(database)
    except sqlite3.DatabaseError:
        database.close()  # with its locks, and not when somebody collects it
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    found = database.execute("PRAGMA user_version").fetchone()[0]
    if found != _SCHEMA:
        if found:
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in names.fetchall():
                database.execute(f"DROP TABLE {table}")
        database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_SCHEMA}; COMMIT;")
