"""Batches that meet faults at random, several one after another: `make faults SEED=… ROUNDS=…`.

The same seed draws the same faults at the same places; when threads run in another order, what
they hit can differ.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.station import station
from tests.faults.catalogue import FAULTS, TOKENS, Bench, Fault, Place
from tests.faults.disk import Disk, with_disk
from tests.faults.survival import Tally, survive

IN_A_ROW = 4  # faults that one batch meets, at most
SHOWN = 2000  # characters of a breach


def drawn(draw: random.Random) -> list[tuple[Fault, Place]]:
    """The faults that one batch meets; one that needs a fresh batch is the first."""
    first = draw.choice(list(FAULTS.values()))
    others = draw.choices([one for one in FAULTS.values() if not one.fresh], k=IN_A_ROW - 1)
    kinds = [first, *others[: draw.randrange(IN_A_ROW)]]
    return [(kind, draw.choice(list(kind.places))) for kind in kinds]


def main() -> int:
    """Run them, and print the seed, each round, and the tally; 1 where anything was wrong."""
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options.add_argument("--rounds", type=int, default=100)
    chosen = options.parse_args()
    print(f"SEED={chosen.seed} ROUNDS={chosen.rounds}", flush=True)
    draw, tally = random.Random(chosen.seed), Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with station(folder, tokens=TOKENS, holders=2, kit=2, within=with_disk(folder)) as made:
            bench = Bench(station=made, disk=Disk(made.folder))
            for number in range(1, chosen.rounds + 1):
                meetings = drawn(draw)
                before = len(tally.breaches)
                survive(bench, meetings, tally, search=number % 10 == 0)
                told = ", ".join(f"{fault.name} at {place}" for fault, place in meetings)
                print(f"{number}: {told}: {len(tally.breaches) - before} breaches", flush=True)
                for breach in tally.breaches[before:]:
                    print(f"  {breach[:SHOWN]}", flush=True)
    print(*tally.lines(), f"SEED={chosen.seed}", sep="\n")
    return 1 if tally.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
