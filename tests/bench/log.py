"""A manifest of a million entries: made, appended to, proved from, judged.

Every holder has two tokens in it, so that it names a million serials and orders, and half a million
holders. Its entries are those of `tests.record_samples` without what lies beside the log (blobs,
openings): reading files is no matter of the log's size. It is made in bulk, on the tree and index
that an append would leave.

`log.append` is what one more entry costs beside the waits for the disk: the processor's time, which
knows nothing of waiting. `log.prove` is the file that `manifest prove SERIAL` hands out, by the
clock, of a manifest that was opened just now: it must not depend on the log's length.
`log.verify_share` is the speed of `manifest verify` as a share of the `floor`'s, which hashes the
same entries, checks that they are canonical, and one signature, in a program of its own; both in
processor time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.commands import MEGABYTE, cost_of
from tests.bench.figures import Figure
from tests.record_samples import ORIGIN, SIGNER, issued, opening, station
from tokenprov.record.entry import Entry
from tokenprov.record.handout import Handout, check_handout
from tokenprov.record.head import Held
from tokenprov.record.manifest import Addition, Manifest

ROOT = Path(__file__).parents[2]
TOKENPROV = str(Path(sys.executable).with_name("tokenprov"))
ENTRIES = 1_000_000
TOGETHER = 10_000  # entries under one checkpoint while it is made
ONE_BY_ONE = 100  # appended and proved, of which the median counts
HELD = Held(keys=(SIGNER.verifier,))


def measure(folder: Path) -> dict[str, Figure]:
    """All of it; `folder` is empty and ours."""
    path = folder / "manifest"
    made = _made(path)
    manifest = Manifest.open(path, SIGNER)
    appended = [_append(manifest, number) for number in range(ENTRIES, ENTRIES + ONE_BY_ONE)]
    manifest.close()
    proved = [_prove(path, number) for number in range(7, ENTRIES, ENTRIES // ONE_BY_ONE)]
    verify = [TOKENPROV, "manifest", "verify", str(path), "--key", str(SIGNER.verifier)]
    floor = [sys.executable, "-m", "tests.bench.floor", str(path), str(SIGNER.verifier)]
    judged = cost_of(verify, {}, folder)
    least = cost_of(floor, {"PYTHONPATH": str(ROOT)}, folder)
    return {
        "log.made": Figure(value=ENTRIES / made, unit="entries/s"),
        "log.append": Figure(value=median(appended) * 1e3, unit="ms/entry", at_most=2),
        "log.prove": Figure(value=median(proved) * 1e3, unit="ms/serial", at_most=50),
        "log.verify": Figure(value=ENTRIES / judged.processor, unit="entries/s"),
        "log.verify_share": Figure(
            value=least.processor / judged.processor, unit="share", at_least=0.5
        ),
        "log.verify_memory": Figure(value=judged.peak / MEGABYTE, unit="MB", at_most=300),
    }


def _entry(number: int) -> Entry:
    entry = issued(number)
    holder = {"commitment": opening(number // 2).commitment}
    (step,) = entry["steps"]
    return {**entry, "holder": holder, "steps": [{**step, "evidence": []}], "secrets": []}


def _additions(first: int) -> Iterator[Addition]:
    if first == 0:
        yield Addition(entry=station())
    for number in range(first, first + TOGETHER):
        yield Addition(entry=_entry(number))


def _made(path: Path) -> float:
    """The seconds that making it took, less those for the entries themselves."""
    manifest = Manifest.create(path, ORIGIN, SIGNER)
    seconds = 0.0
    for first in range(0, ENTRIES, TOGETHER):
        additions = list(_additions(first))
        began = time.process_time()
        manifest.append_many(additions)
        seconds += time.process_time() - began
    manifest.close()
    return seconds


def _append(manifest: Manifest, number: int) -> float:
    entry = _entry(number)
    began = time.process_time()
    manifest.append(entry)
    return time.process_time() - began


def _prove(path: Path, number: int) -> float:
    entry = _entry(number)
    began = time.perf_counter()
    manifest = Manifest.open(path)
    (found,) = manifest.found_by(f"serial {entry['token']['serial']}")
    proof = Handout(
        entry=manifest.entry(found),
        index=found,
        path=tuple(manifest.prover().inclusion(found)),
        note=manifest.note(),
    ).to_bytes()
    seconds = time.perf_counter() - began
    if check_handout(proof, HELD)[0].entry != entry:
        raise AssertionError(f"entry {found} is not that of {number}")
    manifest.close()
    return seconds
