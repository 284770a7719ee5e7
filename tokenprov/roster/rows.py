"""Text of a roster to rows: CSV lines or JSON objects, each with the line it stands on.

CSV is RFC 4180 with two restrictions: a row is one line, so that a quote left open costs one row
and not the rest of the file, and a cell that holds a quote is itself quoted. The delimiter is the
one of comma, semicolon and tab under which the first line names the most known columns. Lines
without any text are passed over, and so are empty cells under header cells without a name, as
spreadsheets leave them at the end.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tokenprov.roster.columns import Column, map_header, recognised
from tokenprov.roster.problems import Problems, shown

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}

_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_HINT = re.compile(r"sep=(.)\Z")  # what Excel writes and reads as a first line


@dataclass(slots=True, kw_only=True)
class Row:
    """The cells of one row that hold text: the known ones and the further ones, trimmed.

    `plain` says that all are printable ASCII: then no cell needs a look at its characters.
    """

    line: int
    plain: bool
    known: dict[str, str]
    extra: dict[str, str]


class QuotingError(ValueError):
    """A line's quotes do not add up."""

    def __init__(self, message: str, remedy: str, *, left_open: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.left_open = left_open


def split(line: str, delimiter: str) -> list[str]:
    """The cells of one line. Raises QuotingError."""
    if '"' not in line:
        return line.split(delimiter)
    cells: list[str] = []
    position = 0
    while True:
        if line.startswith('"', position):
            match = _QUOTED.match(line, position)
            if match is None:
                raise QuotingError(
                    f"the quote that opens cell {len(cells) + 1} is never closed",
                    'Close it on the same line, or delete it; a quote inside a cell is written "".',
                    left_open=True,
                )
            cells.append(match[1].replace('""', '"'))
            position = match.end()
            if position < len(line) and line[position] != delimiter:
                raise QuotingError(
                    f"text follows the closing quote of cell {len(cells)}",
                    'A quote inside a quoted cell is written twice: "".',
                )
        else:
            end = line.find(delimiter, position)
            cell = line[position : end if end >= 0 else len(line)]
            if '"' in cell:
                raise QuotingError(
                    f"cell {len(cells) + 1} holds a quote and is not quoted itself",
                    'Put the whole cell in quotes, and write a quote inside it twice: "".',
                )
            cells.append(cell)
            position += len(cell)
        if position >= len(line):
            return cells
        position += 1


def csv_rows(text: str, problems: Problems) -> Iterator[Row]:
    """The rows of a CSV text below its header. Raises RosterError when the header is wrong."""
    lines = enumerate(io.StringIO(text, newline=None), 1)
    hint, header_line, header = _header(lines)
    try:
        delimiter = hint or _delimiter(header)
        names = split(header, delimiter)
    except QuotingError as exc:
        raise problems.stop(header_line, "", exc.message, exc.remedy) from exc
    width = len(names)
    while names and not names[-1].strip():
        names.pop()
    columns = map_header(names, header_line, problems)
    places = [(column.key, column.known) for column in columns]
    for number, raw in lines:
        line = raw.rstrip("\n")
        if not line.strip(f"{delimiter} \t"):
            continue
        try:
            cells = split(line, delimiter)
        except QuotingError as exc:
            _skip_open_cell(exc, number, lines, problems)
            continue
        while len(columns) < len(cells) <= width and not cells[-1].strip():
            cells.pop()
        if len(cells) != len(columns):
            _misfit(cells, columns, number, delimiter, problems)
            continue
        row = Row(line=number, plain=line.isascii() and line.isprintable(), known={}, extra={})
        for (key, known), raw_cell in zip(places, cells, strict=True):
            cell = raw_cell.strip()
            if cell:
                (row.known if known else row.extra)[key] = cell
        yield row


def _header(lines: Iterator[tuple[int, str]]) -> tuple[str, int, str]:
    """The delimiter that the file names itself ("" if it does not), and the line of names."""
    hint = ""
    for number, raw in lines:
        line = raw.rstrip("\n")
        match = _HINT.match(line) if number == 1 else None
        if match:
            hint = match[1]
        elif line.strip():
            return hint, number, line
    return hint, 1, ""


def _delimiter(header: str) -> str:
    """The delimiter under which most columns are known. Raises QuotingError if none fits."""
    scores: dict[str, tuple[int, int]] = {}
    failure: QuotingError | None = None
    for delimiter in [mark for mark in DELIMITERS if mark in header] or [","]:
        try:
            names = split(header, delimiter)
        except QuotingError as exc:
            failure = failure or exc  # a quoted name may hold this delimiter: another may fit
        else:
            scores[delimiter] = recognised(names), len(names)
    if failure and not scores:
        raise failure
    return max(scores, key=lambda delimiter: scores[delimiter])


def _skip_open_cell(
    exc: QuotingError, number: int, lines: Iterator[tuple[int, str]], problems: Problems
) -> None:
    """Report a quoting error; a cell that goes on over line breaks is passed over whole."""
    if not exc.left_open:
        problems.add(number, "", exc.message, exc.remedy)
        return
    for last, raw in lines:
        if raw.count('"') % 2:
            problems.add(
                number,
                "",
                f"a cell opened on this line ends on line {last}: it holds a line break, "
                "or its quote was left open",
                "Delete the line break or the quote: a row is one line.",
            )
            return
    problems.add(number, "", exc.message, exc.remedy)


def _misfit(
    cells: list[str], columns: list[Column], line: int, delimiter: str, problems: Problems
) -> None:
    called = DELIMITERS.get(delimiter, delimiter)
    if len(cells) < len(columns):
        remedy = f"Write a {called} for each cell left empty."
    else:
        example = shown(f'"{cells[0]}{delimiter}{cells[1]}"')[1:-1]
        remedy = f"Put a cell that holds a {called} in quotes: {example}"
    problems.add(line, "", f"the row has {len(cells)} cells, the header has {len(columns)}", remedy)
