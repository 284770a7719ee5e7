"""What commands share of printing: JSON to standard output, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from textwrap import indent
from typing import TypeVar

import click

from tokenprov.model import Json

_PAGE = 500  # rows of a table

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

    A long one is printed a page at a time, each with its head, as no more of it is in memory.
    """
    from rich.console import Console  # here: whoever asks for JSON does without tables
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=240)
    rows = iter(rows)
    page = list(islice(rows, _PAGE))
    while True:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in page:
            table.add_row(*row)
        console.print(table)
        page = list(islice(rows, _PAGE))
        if not page:
            return


def facts_line(facts: Json) -> str:
    """Facts as `name value` pairs on one line."""
    if not isinstance(facts, dict):
        return str(facts)
    return ", ".join(
        f"{name} {facts_line(value)}" if isinstance(value, dict) else f"{name} {value}"
        for name, value in facts.items()
    )
