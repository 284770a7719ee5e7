"""What may be wrong with a station, found by looking, each with the command that mends it.

Nothing is changed by looking: no reader and no node is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokenprov.doctor import clock, disk, keys, nodes, polkit, service
from tokenprov.doctor.finding import Finding, State
from tokenprov.doctor.rules import install

__all__ = ["Finding", "State", "examine", "install"]


def examine(home: Path) -> Iterator[Finding]:
    """Look at everything; `home` need not be there."""
    yield from polkit.look()
    yield from service.look()
    yield from nodes.look()
    yield from clock.look()
    yield from disk.look(home)
    yield from keys.look(home)
