"""Rows to holders: every cell looked at, every problem kept with its line.

Sources: RFC 5280 appendix A.1 (a common name holds at most 64 characters) and 4.2.1.6 (an
rfc822Name is ASCII); RFC 5321 4.5.3.1 (64 octets before the @, 254 in all); Unicode UAX 15 (names
are normalised to NFC, so that one person typed on two systems is one person).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date

from tokenprov.model import Holder
from tokenprov.roster.columns import REQUIRED
from tokenprov.roster.problems import Problems, shown
from tokenprov.roster.rows import Row
from tokenprov.roster.text import FORBIDDEN

MAX_COMMON_NAME = 64  # characters; RFC 5280 appendix A.1, ub-common-name
MAX_ID = 64  # characters; RFC 5280 appendix A.1, ub-serial-number
MAX_ADDRESS = 254  # octets; RFC 5321 4.5.3.1.3, a path less its brackets
MAX_UPN = 1024  # characters; Active Directory schema, User-Principal-Name rangeUpper

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"  # RFC 5322 3.2.3
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1035 2.3.1
_EMAIL = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+\Z")
_UPN = re.compile(rf'[^\s@"/\\\[\]:;|=,+*?<>]+@{_LABEL}(?:\.{_LABEL})*\Z')
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_POINTED_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})\Z", re.ASCII)
_ROUNDED = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+\Z", re.ASCII)
_GROUPS = re.compile(r"[;|]")

# UTF-8 that was read as Windows-1252 and written as UTF-8 again: a lead byte and what follows it.
_TWICE = re.compile(
    "[\xc2-\xf4][\x80-\xbf\u0152-\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)


def _decoded_again(cell: str) -> str:
    """What the cell was before it was encoded twice, "" if it was not."""
    try:
        return cell.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return ""


class Checker:
    """Turns rows into holders and remembers who was there before, to find doubles."""

    def __init__(self, problems: Problems, today: date) -> None:
        self._problems = problems
        self._today = today
        self._seen: dict[str, dict[str, tuple[int, str]]] = {"id": {}, "email": {}, "upn": {}}

    def holders(self, rows: Iterable[Row]) -> Iterator[tuple[int, Holder]]:
        """Line and holder of every row that is in order."""
        for row in rows:
            before = self._problems.total
            holder = self._holder(row)
            if holder is not None and self._problems.total == before:
                yield row.line, holder

    def _holder(self, row: Row) -> Holder | None:
        if not row.plain:
            for cells in (row.known, row.extra):
                for column, cell in cells.items():
                    if not cell.isascii() or not cell.isprintable():
                        cells[column] = self._clean(row.line, column, cell)
        known = row.known
        for column in REQUIRED:
            if column not in known:
                self._add(row, column, "the cell is empty", f"Fill in the {column}.")
        if _ROUNDED.match(known.get("id", "")):
            self._add(
                row,
                "id",
                f"{shown(known['id'])} is a number that a spreadsheet has rounded",
                "Make the column's format text there, and write the id anew.",
            )
        self._lengths(row)
        self._email(row)
        self._upn(row)
        last_day = self._last_day(row)
        for column, seen in self._seen.items():
            if column in known:
                line, other = seen.setdefault(known[column].casefold(), (row.line, known[column]))
                if line != row.line:
                    self._twice(row, column, line, other)
        if not all(column in known for column in REQUIRED):
            return None
        groups = map(str.strip, _GROUPS.split(known.get("groups", "")))
        return Holder(
            id=known["id"],
            name=known["name"],
            email=known["email"],
            upn=known.get("upn", ""),
            groups=tuple(filter(None, groups)),
            last_day=last_day,
            extra=row.extra,
        )

    def _add(self, row: Row, column: str, message: str, remedy: str) -> None:
        self._problems.add(row.line, column, message, remedy)

    def _clean(self, line: int, column: str, cell: str) -> str:
        forbidden = FORBIDDEN.search(cell)
        if forbidden:
            character = forbidden[0]
            name = unicodedata.name(character, "a control character")
            lost = character == "\N{REPLACEMENT CHARACTER}"
            self._problems.add(
                line,
                column,
                f"{shown(cell)} holds U+{ord(character):04X}, {name.lower()}",
                "A character was lost in an export: write the cell anew."
                if lost
                else "Delete it: it cannot be seen and has no place in a name.",
            )
            return cell
        twice = _decoded_again(cell) if _TWICE.search(cell) else ""
        if twice:
            self._problems.add(
                line,
                column,
                f"{shown(cell)} is {shown(twice)} encoded twice",
                "Export the roster again as UTF-8, or write the cell anew.",
            )
        return unicodedata.normalize("NFC", cell)

    def _lengths(self, row: Row) -> None:
        for column, limit in (("id", MAX_ID), ("name", MAX_COMMON_NAME)):
            length = len(row.known.get(column, ""))
            if length > limit:
                self._add(
                    row,
                    column,
                    f"{length} characters are more than the {limit} that a certificate holds",
                    "Shorten it (RFC 5280 appendix A.1).",
                )

    def _email(self, row: Row) -> None:
        email = row.known.get("email")
        if email is None or (_EMAIL.match(email) and len(email) <= MAX_ADDRESS):
            return
        if not email.isascii():
            remedy = "A certificate holds ASCII addresses only: write the domain in its xn-- form."
        elif any(mark in email for mark in ",;<> "):
            remedy = "Write one bare address, without a name, brackets or spaces."
        else:
            remedy = "Write it as name@domain.example."
        self._add(row, "email", f"{shown(email)} is not a mail address", remedy)

    def _upn(self, row: Row) -> None:
        upn = row.known.get("upn")
        if upn is not None and not (_UPN.match(upn) and len(upn) <= MAX_UPN):
            self._add(
                row,
                "upn",
                f"{shown(upn)} is not a user principal name",
                "Write it as the directory has it, user@suffix, or leave the cell empty.",
            )

    def _last_day(self, row: Row) -> date | None:
        cell = row.known.get("last_day")
        if cell is None:
            return None
        try:
            day = date.fromisoformat(cell) if _ISO_DAY.match(cell) else None
        except ValueError as exc:
            self._add(
                row, "last_day", f"{shown(cell)} is no day: {exc}", "Write a day that exists."
            )
            return None
        if day is None:
            pointed = _POINTED_DAY.match(cell)
            if pointed:
                iso = f"{pointed[3]}-{int(pointed[2]):02}-{int(pointed[1]):02}"
                remedy = f"Write {iso}, if the day stands first in it: year-month-day."
            else:
                remedy = "Write it as year-month-day, 2031-12-31: other orders can be misread."
            self._add(row, "last_day", f"{shown(cell)} is not an ISO 8601 date", remedy)
        elif day < self._today:
            self._add(
                row,
                "last_day",
                f"the last day {day} is past (today is {self._today})",
                "Correct it, or take the holder off the roster.",
            )
        return day

    def _twice(self, row: Row, column: str, line: int, other: str) -> None:
        cell = row.known[column]
        differ = "" if other == cell else f", which differs from {shown(other)} only in case,"
        self._add(
            row,
            column,
            f"{shown(cell)}{differ} stands on line {line} already",
            f"Give each holder one row and an {column} of their own.",
        )
