"""What a command costs before and beside its work: an operator waits for it at each one."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from tests.bench.commands import cost_of
from tests.bench.figures import Figure

TOKENPROV = str(Path(sys.executable).parent / "tokenprov")
TIMES = 7  # each command; the middle one counts
COMMANDS = {
    "list": ("token", "list", "--help"),
    "verify": ("--home", "station", "manifest", "verify"),
    "escrow": ("--home", "station", "escrow", "list"),
    "batch": ("batch", "run", "--help"),
}


def measure(folder: Path) -> dict[str, Figure]:
    """Processor seconds from start to end, on a station that has issued nothing: of commands that
    open no ledger (`list`, `verify`), of one that does (`escrow`), and of the line (`batch`).
    """
    cost_of([TOKENPROV, "init", "station", "--name", "bench"], {}, folder)
    return {
        f"start.{name}": Figure(
            value=median(
                cost_of([TOKENPROV, *command], {}, folder).processor for _ in range(TIMES)
            ),
            unit="s",
        )
        for name, command in COMMANDS.items()
    }
