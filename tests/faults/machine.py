"""A machine that is switched off: what its disk may hold then, from what a program did to it.

`machine.c` wrote down every call; `Machine` does the calls again, up to any of them, on files of
which it knows what was synced and what was not. From there every state is legal in which

- what was synced is there: a file's content by a sync of the file, a name by a sync of its folder;
- of what was not, any part: each write, each change of length and each change of a name has
  reached the disk or has not, and a write only in part (whole sectors).

That is more than any one file system does, and what POSIX allows (fsync(2), and rename(2), which is
one change however it falls).
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

SECTOR = 512  # bytes that are written whole
SOURCE = Path(__file__).with_name("machine.c")
FLAGS = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread")
SCRATCH = (
    "-shm",
)  # files that SQLite makes anew after a crash (https://sqlite.org/walformat.html)
_HEAD = struct.Struct("<QQQQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One call, or a mark that the program left (`recording`)."""

    kind: str
    file: tuple[int, int]  # device and inode
    offset: int
    data: bytes

    @property
    def paths(self) -> list[str]:
        """The paths that it is about."""
        return [os.fsdecode(path) for path in self.data.split(b"\0")[:-1]]


def build(folder: Path) -> Path:
    """Compile machine.c; gives the library to be preloaded."""
    library = folder / "machine.so"
    subprocess.run(["cc", *FLAGS, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


def read_log(path: Path) -> list[Record]:
    """The records in the order of their calls."""
    log, at, found = path.read_bytes(), 0, []
    while at < len(log):
        device, inode, offset, length = _HEAD.unpack_from(log, at + 1)
        start = at + 1 + _HEAD.size
        found.append(
            Record(
                kind=chr(log[at]),
                file=(device, inode),
                offset=offset,
                data=log[start : start + length],
            )
        )
        at = start + length
    return found


class Survives(Protocol):
    """Decides for each change that was not synced whether it reached the disk."""

    def __call__(self, what: str) -> bool:
        """`what`: "data", "name", or "whole" for all of the data."""


@dataclass(slots=True)
class _File:
    """Content that was synced, and the writes and lengths since: (offset, data), or (length,)."""

    synced: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        self.synced, self.since = self.content(lambda _: True), []

    def content(self, survives: Survives) -> bytes:
        made = bytearray(self.synced)
        for offset, data in self.since:
            if not survives("data"):
                continue
            if data is None:
                made = made[:offset].ljust(offset, b"\0")
            else:
                whole = data if survives("whole") else data[: len(data) // 2 // SECTOR * SECTOR]
                made[len(made) : offset] = bytes(max(0, offset - len(made)))
                made[offset : offset + len(whole)] = whole
        return bytes(made)


@dataclass(slots=True)
class _Folder:
    """Names that were synced, and the changes since: each sets names, or takes them (None)."""

    synced: dict[str, _File | _Folder] = field(default_factory=dict)
    since: list[Mapping[str, _File | _Folder | None]] = field(default_factory=list)

    def sync(self) -> None:
        self.synced, self.since = self.names(lambda _: True), []

    def names(self, survives: Survives) -> dict[str, _File | _Folder]:
        made: dict[str, _File | _Folder | None] = dict(self.synced)
        for change in self.since:
            if survives("name"):
                made |= change
        return {name: there for name, there in made.items() if there is not None}


class Machine:
    """A folder as a program changed it, and as it may be found after a power cut."""

    def __init__(self, folder: Path, seen: str) -> None:
        """`folder` as it is now, all of it synced; the records call it `seen`."""
        self._seen = seen
        self._open: dict[tuple[int, int], _File | _Folder] = {}
        self._root = self._take(folder)

    def _take(self, path: Path) -> _Folder:
        folder = _Folder()
        for one in path.iterdir():
            there = self._take(one) if one.is_dir() else _File(one.read_bytes())
            folder.synced[one.name] = there
            self._known(one, there)
        self._known(path, folder)
        return folder

    def _known(self, path: Path, there: _File | _Folder) -> None:
        found = path.stat()
        self._open[found.st_dev, found.st_ino] = there

    def did(self, record: Record) -> None:
        """Do a call again."""
        there = self._open.get(record.file)
        match record.kind:
            case "w" if isinstance(there, _File):
                there.since.append((record.offset, record.data))
            case "t" if isinstance(there, _File):
                there.since.append((record.offset, None))
            case "s" if there is not None:
                there.sync()
            case "a":
                for one in self._all():
                    one.sync()
            case "c" | "m":
                (path,) = record.paths
                folder, name = self._place(path)
                if name not in folder.names(lambda _: True):
                    made = _Folder() if record.kind == "m" else _File()
                    self._open[record.file] = made
                    folder.since.append({name: made})
            case "r" | "l":
                old, new = record.paths
                folder, name = self._place(old)
                target, new_name = self._place(new)
                moved = folder.names(lambda _: True)[name]
                if record.kind == "l" or target is not folder:
                    target.since.append({new_name: moved})
                    if record.kind == "r":
                        folder.since.append({name: None})
                else:
                    folder.since.append({name: None, new_name: moved})
            case "u":
                (path,) = record.paths
                folder, name = self._place(path)
                folder.since.append({name: None})

    def _place(self, path: str) -> tuple[_Folder, str]:
        folder, (*above, name) = self._root, path.removeprefix(self._seen).strip("/").split("/")
        for part in above:
            below = folder.names(lambda _: True)[part]
            assert isinstance(below, _Folder), path
            folder = below
        return folder, name

    def _all(self) -> Iterator[_File | _Folder]:
        waiting: list[_File | _Folder] = [self._root]
        while waiting:
            there = waiting.pop()
            yield there
            if isinstance(there, _Folder):
                waiting += there.names(lambda _: True).values()

    def left(self, target: Path, survives: Survives) -> None:
        """Write what is there after a power cut into a folder, which is emptied before."""
        shutil.rmtree(target, ignore_errors=True)
        self._leave(self._root, target, survives)

    def _leave(self, folder: _Folder, target: Path, survives: Survives) -> None:
        target.mkdir(mode=0o700)
        for name, there in folder.names(survives).items():
            if isinstance(there, _Folder):
                self._leave(there, target / name, survives)
            elif not name.endswith(SCRATCH):
                descriptor = os.open(target / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(descriptor, "wb") as file:
                    file.write(there.content(survives))
