"""How many plain APDUs a second the private pcscd and its tokens carry, over eight readers.

Run it: `python tests/bench/apdu_rate.py`. It prints one object of figures as `make bench` joins
them: `{"sim.apdu_rate": {"value", "unit", "target", "holds"}}`. Each reader has a client process
of its own, which sends the shortest command that the OTP applet answers (READ STATUS).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from multiprocessing.synchronize import Barrier
from typing import Any

from tokenprov.sim.bench import VirtualBench

READERS = 8
TARGET = 5000.0  # APDUs a second, on two cores
SECONDS = 2.0
SELECT_OTP = bytes.fromhex("00a4040007a0000005272001")
READ_STATUS = list(bytes.fromhex("0003000000"))


def client(reader: str, environment: dict[str, str], start: Barrier, results: Any) -> None:
    """Send commands to one reader for some seconds; put how many were answered."""
    os.environ.update(environment)
    from smartcard import scard

    _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    code, card, _ = scard.SCardConnect(
        context, reader, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1
    )
    if code != scard.SCARD_S_SUCCESS:
        raise RuntimeError(scard.SCardGetErrorMessage(code))
    scard.SCardTransmit(card, scard.SCARD_PCI_T1, list(SELECT_OTP))
    start.wait()
    count = 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        code, answer = scard.SCardTransmit(card, scard.SCARD_PCI_T1, READ_STATUS)
        if code != scard.SCARD_S_SUCCESS or answer[-2:] != [0x90, 0x00]:
            raise RuntimeError(f"not answered: {code:x} {answer}")
        count += 1
    results.put(count)


def measure() -> dict[str, dict[str, float | str | bool]]:
    """Measure once; the figures as `build/bench.json` holds them."""
    spawn = multiprocessing.get_context("spawn")
    with VirtualBench(tokens=READERS) as bench:
        start, results = spawn.Barrier(READERS + 1), spawn.Queue()
        clients = [
            spawn.Process(target=client, args=(line["reader"], bench.environment, start, results))
            for line in bench.control.tokens()
        ]
        for process in clients:
            process.start()
        start.wait()
        total = sum(results.get(timeout=60) for _ in clients)
        for process in clients:
            process.join()
    value = total / SECONDS
    return {
        "sim.apdu_rate": {
            "value": round(value),
            "unit": "APDUs/s",
            "target": TARGET,
            "holds": value >= TARGET,
        }
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
