"""Memory over many orders: what a batch of 10,000 needs beside one of 100.

Measured are the peaks of the resident set of commands, each a program of its own, in which no
token is put in: `batch run` on a roster (`create`: it reads and checks the roster, which is in
memory, and stores the orders), `batch run` of that batch by its id (`run`), and `batch status` of
it (`status`).
`*_growth` is what the further 9,900 orders added, for each of them.

`issued_growth` is what each further token adds to a `batch run` that issues tokens in 16 readers:
from its peak when `WARM` were issued, which is when everything it keeps is there once (the log's
last 256 entries, statements, threads), to that at its end. Issuing 10,000 would take longer than
the rest of this bench.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.commands import MEGABYTE, Cost, cost_of
from tests.bench.figures import Figure
from tests.bench.line import LineBench
from tokenprov.sim.bench import VirtualBench

TOKENPROV = str(Path(sys.executable).with_name("tokenprov"))
FEW, MANY = 100, 10_000
ORDERS_LEFT = 8  # exit code of `batch run`
AT_MOST = 1.1  # times the memory for a hundredth of the orders is flat
READERS, EACH = 16, 24
WARM = 256  # tokens
GROWTH = 1000  # bytes a token: 10,000 of them add a tenth of what the program needs anyway


def measure(folder: Path) -> dict[str, Figure]:
    """Both, in a home of their own for each size."""
    with VirtualBench(tokens=1) as bench:
        bench.control.unplug_reader(0)
        few, many = (_costs(folder, bench.environment, orders) for orders in (FEW, MANY))
    figures: dict[str, Figure] = {}
    for name in few:
        growth = (many[name].peak - few[name].peak) / (MANY - FEW)
        ratio = many[name].peak / few[name].peak
        figures |= {
            f"memory.{name}_{MANY}": Figure(value=many[name].peak / MEGABYTE, unit="MB"),
            f"memory.{name}_growth": Figure(value=growth, unit="bytes/order"),
            f"memory.{name}_ratio": Figure(
                value=ratio, unit="times", at_most=None if name == "create" else AT_MOST
            ),
        }
    return figures | _issued(folder)


def _issued(folder: Path) -> dict[str, Figure]:
    with VirtualBench(tokens=READERS, serial_base=33_000_001) as bench:
        line = LineBench(bench, folder)
        peaks = line.run(READERS, EACH).peaks
    growth = (peaks[-1] - peaks[WARM - 1]) / (len(peaks) - WARM)
    return {"memory.issued_growth": Figure(value=growth, unit="bytes/token", at_most=GROWTH)}


def _costs(folder: Path, environment: dict[str, str], orders: int) -> dict[str, Cost]:
    home, roster = str(folder / f"station-{orders}"), folder / f"roster-{orders}.csv"
    rows = (f"E{n:05},Ann {n},a{n}@example.test,a{n}@example.test\n" for n in range(orders))
    roster.write_text("id,name,email,upn\n" + "".join(rows), encoding="utf-8")
    cost_of([TOKENPROV, "init", home, "--name", "bench"], environment, folder)
    run = ["batch", "run", str(roster), "--profile", "standard-employee", "--wait", "0"]
    status = [TOKENPROV, "--home", home, "batch", "status"]
    created = cost_of(
        [TOKENPROV, "--home", home, *run], environment, folder, expect=(0, ORDERS_LEFT)
    )
    said = subprocess.run([*status, "--json"], capture_output=True, check=True)
    (batch,) = json.loads(said.stdout)
    again = [TOKENPROV, "--home", home, "batch", "run", batch["batch"], "--wait", "0"]
    return {
        "create": created,
        "run": cost_of(again, environment, folder, expect=(0, ORDERS_LEFT)),
        "status": cost_of([*status, batch["batch"]], environment, folder),
    }
