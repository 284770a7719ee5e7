"""The figures of `make bench`: what each is, its target, and how they are written and shown.

`build/bench.json` is one object: `{"batch.peak_memory": {"value": 86.1, "unit": "MB",
"target": 150, "holds": true}, …}`. `target` is null where a figure is for the record only; `holds`
is then true. A figure that must stay below its target says so by `at_most`, others by `at_least`;
the written form has the target alone, whose sense the unit makes plain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

DIGITS = 4  # that count; more would only show the noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value. At most one of `at_most` and `at_least` is given, in its unit."""

    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if self.at_most is not None and self.at_least is not None:
            raise ValueError("a figure has one target")

    @property
    def target(self) -> float | None:
        """What is to be reached; None where nothing is."""
        return self.at_least if self.at_most is None else self.at_most

    @property
    def holds(self) -> bool:
        """Whether the target is reached; a figure without one holds."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return self.at_least is None or self.value >= self.at_least

    def to_json(self) -> dict[str, float | str | bool | None]:
        """As it is written."""
        return {
            "value": rounded(self.value),
            "unit": self.unit,
            "target": self.target,
            "holds": self.holds,
        }


def rounded(value: float) -> float:
    """The value with as many digits as mean something; whole numbers stay whole."""
    if value == int(value):
        return int(value)
    return float(f"{value:.{DIGITS}g}")


def write_figures(path: Path, figures: Mapping[str, Figure]) -> None:
    """Write all figures, so that a reader sees the old file or the new one."""
    document = {name: figure.to_json() for name, figure in figures.items()}
    fresh = path.with_name(path.name + ".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    os.replace(fresh, path)


def print_figures(figures: Mapping[str, Figure]) -> None:
    """A table for people."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("figure", "value", "unit", "target", "holds"):
        numbers = heading in ("value", "target")
        table.add_column(heading, justify="right" if numbers else "left", no_wrap=True)
    for name, figure in figures.items():
        sense = "≤" if figure.at_most is not None else "≥"
        target = "" if figure.target is None else f"{sense} {figure.target:g}"
        holds = "" if figure.target is None else ("yes" if figure.holds else "NO")
        table.add_row(name, f"{rounded(figure.value):g}", figure.unit, target, holds)
    Console(soft_wrap=True).print(table)
