"""Memory over many orders: a batch of 10,000 made and looked at, beside one of 100.

Measured are the peaks of the resident set of two commands, each a program of its own: `batch run`
on a roster (it reads and checks it, stores the orders, and ends, as no token is put in), and
`batch status` of that batch. `*_growth` is what the further 9,900 orders added, for each of them.
Issuing 10,000 tokens is not measured: it would take longer than the rest of this bench.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.commands import MEGABYTE, Cost, cost_of
from tests.bench.figures import Figure
from tokenprov.sim.bench import VirtualBench

TOKENPROV = str(Path(sys.executable).with_name("tokenprov"))
FEW, MANY = 100, 10_000
ORDERS_LEFT = 8  # exit code of `batch run`
AT_MOST = 1.1  # times the memory for a hundredth of the orders is flat


def measure(folder: Path) -> dict[str, Figure]:
    """Both, in a home of their own for each size."""
    with VirtualBench(tokens=1) as bench:
        bench.control.unplug_reader(0)
        few, many = (_costs(folder, bench.environment, orders) for orders in (FEW, MANY))
    figures = {}
    for name in few:
        growth = (many[name].peak - few[name].peak) / (MANY - FEW)
        ratio = many[name].peak / few[name].peak
        figures |= {
            f"memory.{name}_{MANY}": Figure(value=many[name].peak / MEGABYTE, unit="MB"),
            f"memory.{name}_growth": Figure(value=growth, unit="bytes/order"),
            f"memory.{name}_ratio": Figure(value=ratio, unit="times", at_most=AT_MOST),
        }
    return figures


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
    return {"create": created, "status": cost_of([*status, batch["batch"]], environment, folder)}
