"""What commands share of printing: JSON to standard output, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import click
from rich.console import Console
from rich.table import Table

from tokenprov.model import Json

_F = TypeVar("_F", bound=Callable[..., object])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
pass_home = click.pass_obj


def print_json(document: Json) -> None:
    """One JSON document, indented, on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output; on a pipe it is as wide as it needs to be."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=240)
    console.print(table)


def facts_line(facts: Json) -> str:
    """Facts as `name value` pairs on one line."""
    if not isinstance(facts, dict):
        return str(facts)
    return ", ".join(
        f"{name} {facts_line(value)}" if isinstance(value, dict) else f"{name} {value}"
        for name, value in facts.items()
    )
