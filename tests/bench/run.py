"""`make bench`: measure, print a table, write build/bench.json and its plot.

    python -m tests.bench.run [PART...]     parts as in PARTS; all without one

The parts say what each figure is. Nothing here judges: a missed target is shown and written as
such, and the exit code is 0, because a busy machine is no fault of the program.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import apdus, job, line, log, memory, plot, records, simulator, start, turn
from tests.bench.figures import Figure, print_figures, write_figures

RESULT = Path(__file__).parents[2] / "build" / "bench.json"
PLOT = RESULT.with_suffix(".png")
PARTS: dict[str, Callable[[Path], dict[str, Figure]]] = {
    "start": start.measure,
    "job": job.measure,
    "line": line.measure,
    "turn": turn.measure,
    "commands": apdus.measure,
    "simulator": lambda folder: simulator.measure(),
    "records": records.measure,
    "log": log.measure,
    "memory": memory.measure,
}


def main() -> None:
    """Measure the parts that were asked for, in a folder that is gone afterwards."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure tokenprov.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    wanted = parser.parse_args().parts or list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    figures: dict[str, Figure] = {}
    for name in wanted:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="tokenprov-bench-") as folder:
            figures |= PARTS[name](Path(folder))
        write_figures(RESULT, figures)  # at once: a part that fails takes no other along
        print(f"{name}: measured in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    if not plot.plot(PLOT, figures):
        print("no plot: it needs the parts job and line", file=sys.stderr)
    print_figures(figures)


if __name__ == "__main__":
    main()
