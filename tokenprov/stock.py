"""The serials of tokens that arrived: an order file, a packing list or a CSV, read strictly.

Rules:
- Either one serial or range a line, or a CSV (comma, semicolon or tab) whose first line names its
  columns, one of them the serial: `serial`, `Serial Number`, `Serial No.`, `S/N`, in any case.
- A serial is the number that the token says: 1 to 4294967295 (32 bits), and zeros that a label
  prints before it count for nothing. A range is FIRST-LAST or FIRST..LAST, both ends included, of
  at most 10,000 tokens.
- A card's serial is what the card says: the GUID in its CHUID (32 hex digits, or as a UUID with
  dashes), or agency, system and credential number of its FASC-N (9999-9999-999999). One behind a
  PKCS#11 module has 16 letters and digits; shorter ones would take in many a slip of the pen.
- A serial that stands twice is a problem: somebody counted wrong. Every problem is told with its
  line, and with one problem nothing is taken from the file.
- Empty lines, and lines that begin with #, are passed over.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import Path

from tokenprov.errors import InputError, Problem

MAX_SERIAL = 2**32 - 1  # a YubiKey's serial has four bytes
MAX_RANGE = 10_000  # tokens: no box is larger, and a slip of the finger is
SHOWN = 20  # problems that are told; the others are counted

_NAMES = frozenset({"serial", "serials", "serialnumber", "serialnumbers", "serialno", "sn"})
_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)
_GUID = re.compile(r"[0-9a-fA-F]{8}(-?)(?:[0-9a-fA-F]{4}\1){3}[0-9a-fA-F]{12}")
_FASC_N = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{6}", re.ASCII)
_SIXTEEN = re.compile(r"(?=.*[A-Za-z])[0-9A-Za-z]{16}")  # CK_TOKEN_INFO.serialNumber
_RANGE = re.compile(r"([0-9]{1,12})\s*(?:-|\.\.|\u2013)\s*([0-9]{1,12})", re.ASCII)


def load_serials(path: Path) -> tuple[str, ...]:
    """The serials of a file, in its order. Raises InputError with every problem and its line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}",
            remedy="Check the path and that you may read the file.",
            where=str(path),
        ) from error
    return parse_serials(data, str(path))


def parse_serials(data: bytes, name: str) -> tuple[str, ...]:
    """The serials in these bytes; `name` is for messages. Raises InputError."""
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for line, cell in _cells(_decode(data, name), name):
        try:
            serials = expand(cell)
        except InputError as error:
            problems.append(_problem(line, error.message, error.remedy))
            continue
        for serial in serials:
            if serial in first:
                problems.append(
                    _problem(
                        line,
                        f"serial {serial} stands in line {first[serial]} already",
                        "Look at the tokens: one of the two lines is another one's.",
                    )
                )
            first.setdefault(serial, line)
    if not first and not problems:
        problems.append(_problem(0, "no serial is in it", "Write one serial a line."))
    if problems:
        raise InputError.of_file(name, tuple(problems[:SHOWN]), len(problems))
    return tuple(first)


def expand(cell: str) -> tuple[str, ...]:
    """The serials that a cell means: one, or a range. Raises InputError."""
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return (str(_number(text)),)
    if _GUID.fullmatch(text):
        return (text.replace("-", "").lower(),)
    if _FASC_N.fullmatch(text) or _SIXTEEN.fullmatch(text):
        return (text,)
    found = _RANGE.fullmatch(text)
    if found is None:
        raise InputError(
            f"{text[:40]!r} is no serial and no range",
            remedy="Write digits only, as 12345678, or a range, as 12345678-12345690; for a card"
            " the GUID in its CHUID.",
        )
    low, high = _number(found[1]), _number(found[2])
    if high < low:
        raise InputError(
            f"the range {text} runs backwards", remedy="Write the smaller serial first."
        )
    if high - low >= MAX_RANGE:
        raise InputError(
            f"the range {text} is of {high - low + 1} tokens, and {MAX_RANGE} are the most",
            remedy="Check the digits; a larger delivery is written as several ranges.",
        )
    return tuple(map(str, range(low, high + 1)))


def _number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_SERIAL:
        raise InputError(
            f"{text} is no token's serial", remedy=f"Serials are 1 to {MAX_SERIAL}: check it."
        )
    return number


def _cells(text: str, name: str) -> Iterator[tuple[int, str]]:
    """The cells that hold serials, with their lines."""
    lines = text.splitlines()
    rows = [
        (number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not rows:
        return
    number, head = rows[0]
    delimiter = max(",;\t", key=head.count)
    columns = [_plain(cell) for cell in next(csv.reader([head], delimiter=delimiter))]
    mine = [place for place, column in enumerate(columns) if column in _NAMES]
    if len(mine) > 1:
        raise _stopped(name, number, "two columns are serials", "Delete one of them.")
    if not mine and (len(columns) > 1 or not any(c.isdigit() for c in head)):
        raise _stopped(
            name,
            number,
            "no column is named serial",
            "Name the column with the serials `serial`, or write one serial a line.",
        )
    if not mine:
        yield from rows
        return
    for number, line in rows[1:]:
        row = next(csv.reader([line], delimiter=delimiter))
        if len(row) != len(columns):
            raise _stopped(
                name,
                number,
                f"the line has {len(row)} cells, and the first one names {len(columns)}",
                "Put quotes around a cell with a comma in it, and end every quote in its line.",
            )
        yield number, row[mine[0]]


def _plain(cell: str) -> str:
    """A column's name without what people write differently."""
    return re.sub(r"[^a-z0-9]", "", cell.lower())


def _decode(data: bytes, name: str) -> str:
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _stopped(
            name, 0, "it is no text in UTF-8", 'Save it as "CSV UTF-8", or as plain text.'
        ) from error


def _stopped(name: str, line: int, message: str, remedy: str) -> InputError:
    return InputError.of_file(name, (_problem(line, message, remedy),), 1)


def _problem(line: int, message: str, remedy: str) -> Problem:
    return Problem(line=line, field="", message=message, remedy=remedy)
