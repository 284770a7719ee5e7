"""Rosters and the manifest: how fast a large one is read, written and judged."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from statistics import median

from tests.bench.figures import Figure
from tests.record_samples import ORIGIN, SIGNER, append, station
from tokenprov.record.manifest import Manifest, verify_manifest
from tokenprov.roster import load_roster

ROWS = 100_000
ENTRIES = 300  # more than a tile (256) holds, so that a full one is among them


def measure(folder: Path) -> dict[str, Figure]:
    """A roster of 100,000 rows read, checked and digested, in processor time: its wall time on a
    machine with nothing else to do. Entries appended one by one, each with two blobs and an
    opening and durable on return (median). The whole folder verified.
    """
    return _roster(folder) | _manifest(folder / "manifest")


def _roster(folder: Path) -> dict[str, Figure]:
    path = folder / "roster.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("id,name,email,upn,groups,last_day,department\n")
        for row in range(ROWS):
            who = f"ann.{row}"
            file.write(
                f"E{row:06},Zoë Ann Número {row},{who}@example.test,{who}@corp.example.test,"
                "staff;engineering,2031-06-30,Engineering\n"
            )
    began = time.process_time()
    read = load_roster(path, today=date(2026, 1, 1))
    seconds = time.process_time() - began
    if len(read) != ROWS:
        raise AssertionError(f"{len(read)} rows were read")
    return {"roster.read_100000_rows": Figure(value=seconds, unit="s", at_most=5)}


def _manifest(folder: Path) -> dict[str, Figure]:
    manifest = Manifest.create(folder, ORIGIN, SIGNER)
    manifest.append(station())
    took = []
    for number in range(ENTRIES):
        began = time.perf_counter()
        append(manifest, number)
        took.append(time.perf_counter() - began)
    began = time.perf_counter()
    report = verify_manifest(folder, SIGNER.verifier)
    seconds = time.perf_counter() - began
    if report.findings:
        raise AssertionError(f"the manifest does not verify: {report.findings}")
    return {
        "manifest.append": Figure(value=median(took) * 1e3, unit="ms/entry"),
        "manifest.verify": Figure(value=(ENTRIES + 1) / seconds, unit="entries/s"),
    }
