"""The virtual tokens themselves: how fast APDUs go, how soon a token is made, what it weighs."""

from __future__ import annotations

import time
from statistics import median

from tests.bench import apdu_rate
from tests.bench.commands import peak_memory
from tests.bench.figures import Figure
from tokenprov.sim.assembly import make_token
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.models import DEFAULT_MODEL

TOKENS = 16
FRESH = 50  # tokens made, of which the median counts


def measure() -> dict[str, Figure]:
    """APDUs a second by `apdu_rate`; a token as `assembly` makes it, on a bench with authorities;
    the peak memory of the process that holds sixteen tokens and their readers.
    """
    with VirtualBench(tokens=TOKENS) as bench, bench.in_environment():
        memory = peak_memory(bench.pid)
        made = []
        for serial in range(1, FRESH + 1):
            began = time.perf_counter()
            make_token(DEFAULT_MODEL, serial)
            made.append(time.perf_counter() - began)
    rate = apdu_rate.measure()["sim.apdu_rate"]
    return {
        "sim.apdu_rate": Figure(
            value=float(rate["value"]), unit=str(rate["unit"]), at_least=apdu_rate.TARGET
        ),
        "sim.fresh_token": Figure(value=median(made) * 1e3, unit="ms", at_most=20),
        "sim.memory_16_tokens": Figure(value=memory / 1e6, unit="MB", at_most=100),
    }
