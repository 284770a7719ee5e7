"""The roster itself: its holders, the lines they stand on, and a digest of what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import rfc8785

from tokenprov.errors import RosterError
from tokenprov.model import Holder, Json
from tokenprov.roster.check import Checker
from tokenprov.roster.problems import Problems
from tokenprov.roster.records import json_rows
from tokenprov.roster.rows import csv_rows
from tokenprov.roster.text import decode

_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who gets tokens.

    `digest` is SHA-256, in hex, over the RFC 8785 form of the array of holders in the file's
    order: the same for a CSV and a JSON that say the same.
    """

    name: str  # as messages call it: the file as it was given
    holders: tuple[Holder, ...]
    lines: tuple[int, ...]  # where each holder stands, from 1
    encoding: str  # "UTF-8", "UTF-8 with BOM", "UTF-16-LE", "UTF-16-BE"
    digest: str

    def __len__(self) -> int:
        return len(self.holders)


def load_roster(path: str | Path, *, today: date) -> Roster:
    """Read a roster; a last day before `today` is a problem.

    Raises RosterError, with every problem and its line.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as exc:
        raise RosterError(
            f"cannot be read: {exc.strerror}",
            remedy="Check the path and that you may read the file.",
            where=str(path),
        ) from exc
    return parse_roster(data, str(path), today=today)


def parse_roster(data: bytes, name: str, *, today: date) -> Roster:
    """The roster in these bytes, CSV or JSON by their first character; `name` is for messages.

    Raises RosterError, with every problem and its line.
    """
    problems = Problems(name)
    text, encoding = decode(data, problems)
    read = json_rows if text.lstrip().startswith(("[", "{")) else csv_rows
    holders: list[Holder] = []
    lines: list[int] = []
    for line, holder in Checker(problems, today).holders(read(text, problems)):
        holders.append(holder)
        lines.append(line)
    if problems.total:
        raise problems.error()
    if not holders:
        raise problems.stop(
            0,
            "",
            "the file names columns and no holder",
            "Write one line for each holder below the first.",
        )
    return Roster(
        name=name,
        holders=tuple(holders),
        lines=tuple(lines),
        encoding=encoding,
        digest=digest_of(holders),
    )


def digest_of(holders: Sequence[Holder]) -> str:
    """SHA-256 of the array's RFC 8785 form, written piece by piece."""
    digest = hashlib.sha256(b"[")
    for start in range(0, len(holders), 256):
        piece = [holder.to_json() for holder in holders[start : start + 256]]
        digest.update(b"," if start else b"")
        digest.update(_canonical(piece)[1:-1])
    digest.update(b"]")
    return digest.hexdigest()


def _canonical(piece: list[Json]) -> bytes:
    """RFC 8785 of some holders.

    All values are strings, for which the standard encoder writes the same in a fraction of the
    time; member names beyond ASCII may sort otherwise (RFC 8785, 3.2.3).
    """
    if all(name.isascii() for document in piece for name in document.get("extra", ())):
        return _ENCODER.encode(piece).encode()
    return rfc8785.dumps(piece)
