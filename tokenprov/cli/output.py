"""What commands share of printing: JSON to standard output, tables for people."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from textwrap import indent
from typing import TypeVar

import click

from tokenprov.model import Json

_PAGE = 500  # rows of a table
_BETWEEN = 2  # cells between two columns
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)")
_NARROWEST = 3  # cells of a column, however narrow the terminal is

_F = TypeVar("_F", bound=Callable[..., object])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
pass_home = click.pass_obj


def print_json(document: Json) -> None:
    """One JSON document, indented, on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def print_json_list(head: dict[str, Json], name: str, items: Iterable[Json]) -> None:
    """The same for `head` with a list as its last member, an item at a time in memory."""
    opened, _, closed = json.dumps({**head, name: []}, ensure_ascii=False, indent=2).rpartition("]")
    sys.stdout.write(opened)
    between, end = "\n", ""
    for item in items:
        text = json.dumps(item, ensure_ascii=False, indent=2)
        sys.stdout.write(between + indent(text, "    "))
        between, end = ",\n", "\n  "
    sys.stdout.write(f"{end}]{closed}\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output; on a pipe it is as wide as it needs to be.

    A long one is printed a page at a time, each with its head, as no more of it is in memory. Where
    a terminal is too narrow, columns that say nothing are left out, and words are broken last.
    """
    from rich.console import Console  # here: whoever asks for JSON does without tables
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    rows = iter(rows)
    page = list(islice(rows, _PAGE))
    while True:
        cells: list[tuple[str, ...]] = list(zip(columns, *page, strict=True))
        room = _together(cells)
        if not console.is_terminal:
            console = Console(highlight=False, markup=False, emoji=False, width=max(room, 1))
        elif room > console.width:
            room = console.width
            cells = [_breakable(column) for column in cells if any(column[1:])] or cells
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _BETWEEN, 0, 0))
        for (head, *_), width in zip(cells, narrowed(cells, room), strict=True):
            table.add_column(head, overflow="fold", width=width)
        for row in zip(*(column[1:] for column in cells), strict=True):
            table.add_row(*row)
        console.print(table)
        page = list(islice(rows, _PAGE))
        if not page:
            return


def _breakable(column: Sequence[str]) -> tuple[str, ...]:
    """Times with a space in them, as RFC 3339 5.6 has it, so that a line may end there."""
    return tuple(_MOMENT.sub(r"\1 \2", cell) for cell in column)


def narrowed(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """The widths of columns, in cells, that fit into `room` together where that is possible.

    The widest gives way first, down to its longest word; where that is not enough, words break.
    """
    widths = [_longest(column, "\n") for column in columns]
    excess = _together(columns) - room
    for least in ([_longest(column, None) for column in columns], [_NARROWEST] * len(widths)):
        while excess > 0:
            wide = [place for place, width in enumerate(widths) if width > least[place]]
            if not wide:
                break
            widths[max(wide, key=lambda place: widths[place])] -= 1
            excess -= 1
    return widths


def _together(columns: Sequence[Sequence[str]]) -> int:
    """How wide a table of these columns is, in cells, when no line of theirs is broken."""
    return sum(_longest(column, "\n") for column in columns) + _BETWEEN * (len(columns) - 1)


def _longest(column: Sequence[str], separator: str | None) -> int:
    """The widest part of any of its cells, in cells of a terminal."""
    from rich.cells import cell_len  # here: as above

    return max(cell_len(part) for cell in column for part in cell.split(separator) or [""])


def facts_line(facts: Json) -> str:
    """Facts as `name value` pairs on one line, in words."""
    if isinstance(facts, dict):
        return ", ".join(f"{name} {facts_line(value)}" for name, value in facts.items())
    if isinstance(facts, list):
        return "; ".join(facts_line(one) for one in facts) or "none"
    if isinstance(facts, bool):
        return "yes" if facts else "no"
    return "none" if facts is None else str(facts)
