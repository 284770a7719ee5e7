"""The main job beside the script: `tokenprov batch run` and `ykman`, on the same virtual tokens.

How host time is told from card time: each virtual token counts the seconds that its own answers
need (`SimControl.tokens`). The script has one token, one command after the other, so its host time
is its wall time less the token's. The batch has its tokens in readers side by side, so the cards
alone would need what the slowest of them needs: its host time is its wall time less that, divided
by the tokens. Where the virtual tokens compete for the processors with the program that waits for
them, that counts as host time, to the batch's disadvantage. `processor` is what the kernel says
that the commands computed, and knows nothing of waiting.

A batch is whole: start of the program, roster, profile, ten tokens, seals, ledger, manifest,
report; `single` is a batch of one token, which bears all that alone. Each run has a fresh home and
fresh tokens. The ways take turns, so that what else the machine does falls on all of them; figures
are medians over the rounds, ratios those of the rounds' own ratios.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.commands import MEGABYTE, Cost, cost_of
from tests.bench.figures import Figure
from tests.bench.ykman_script import YkmanScript
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.control import SimControl
from tokenprov.sim.models import DEFAULT_MODEL

ROOT = Path(__file__).parents[2]
TOKENPROV = str(Path(sys.executable).with_name("tokenprov"))
TOKENS = 10  # as many as `make demo` has: five holders, a primary and a spare for each
ROUNDS = 3  # at most
PATIENCE = 15.0  # seconds after which no further round is begun: on a busy machine one is enough
SERIAL = 30_000_001
CONTACTLESS = "yubikey-5.7.4-nfc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of either way: what it cost, and for each token its card's seconds and APDUs."""

    cost: Cost
    cards: Sequence[float]
    apdus: int  # of all
    side_by_side: bool = True  # or one card after the other

    @property
    def tokens(self) -> int:
        """How many were made."""
        return len(self.cards) if self.side_by_side else 1

    @property
    def host(self) -> float:
        """Seconds for each token that are not the card's."""
        card = max(self.cards) if self.side_by_side else sum(self.cards)
        return (self.cost.wall - card) / self.tokens

    @property
    def per_token(self) -> dict[str, tuple[float, str]]:
        """The figures of one run: value and unit."""
        return {
            "host_time": (self.host, "s/token"),
            "wall_time": (self.cost.wall / self.tokens, "s/token"),
            "processor_time": (self.cost.processor / self.tokens, "s/token"),
            "card_time": (sum(self.cards) / self.tokens, "s/token"),
            "apdus": (self.apdus / self.tokens, "APDUs/token"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run of each way."""

    batch: Measured
    single: Measured
    script: Measured


def measure(folder: Path) -> dict[str, Figure]:
    """Both ways in one run; `folder` is empty and ours."""
    with VirtualBench(tokens=TOKENS, serial_base=SERIAL) as bench:
        station = _Station(bench, folder)
        script = _Script(bench, folder / "script")
        rounds: list[Round] = []
        began = time.monotonic()
        while not rounds or (len(rounds) < ROUNDS and time.monotonic() - began < PATIENCE):
            number = len(rounds)
            batch = station.batch(f"batch-{number}")
            with _only_one_reader(bench.control):
                single = station.batch(f"single-{number}", tokens=1)
                rounds.append(Round(batch=batch, single=single, script=script.run()))
        syncs = station.count_syncs("syncs")
    return _figures(rounds, script.commands, syncs)


@contextmanager
def _only_one_reader(control: SimControl) -> Iterator[None]:
    """One key is in, as a person has it who runs the script."""
    for number in range(1, TOKENS):
        control.unplug_reader(number)
    yield
    for number in range(1, TOKENS):
        control.plug_reader(number)


class _Station:
    """Runs batches on the tokens of a bench, each in a new home."""

    def __init__(self, bench: VirtualBench, folder: Path) -> None:
        self._bench, self._folder = bench, folder
        self._environment = bench.environment

    def batch(self, name: str, *, tokens: int = TOKENS, preload: Path | None = None) -> Measured:
        """A whole batch for that many fresh tokens."""
        folder = self._folder / name
        folder.mkdir()
        home = str(folder / "station")
        roots = Path(self._environment[ROOTS_FOLDER])
        trust = [f"--trust={roots / name}" for name in ("root.pem", "chain.pem")]
        cost_of([TOKENPROV, "init", home, "--name", "bench", *trust], self._environment, folder)
        for number in range(tokens):
            self._bench.control.replace(number, model=DEFAULT_MODEL, serial=SERIAL + number)
        added = {}
        if preload is not None:
            added = {"LD_PRELOAD": str(preload), "BENCH_SYNCS": str(folder / "synced")}
        command = [TOKENPROV, "--home", home, "batch", "run", str(self._roster(folder, tokens))]
        command += ["--profile", "standard-employee", "--kit", "1" if tokens == 1 else "2"]
        cost = cost_of([*command, "--wait", "0"], {**self._environment, **added}, folder)
        lines = self._bench.control.tokens()[:tokens]
        return Measured(
            cost=cost,
            cards=[line["seconds"] for line in lines],
            apdus=sum(line["apdus"] for line in lines),
        )

    def count_syncs(self, name: str) -> Counter[str]:
        """The files that a whole batch waits for the disk with, by their names; not timed."""
        library = self._folder / "syncs.so"
        source = Path(__file__).with_name("syncs.c")
        compiler = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run(compiler, check=True)
        self.batch(name, preload=library)
        synced = (self._folder / name / "synced").read_text(encoding="utf-8")
        return Counter(Path(line).name for line in synced.splitlines())

    @staticmethod
    def _roster(folder: Path, tokens: int) -> Path:
        """The example's holders, or the first of them."""
        lines = (ROOT / "profiles" / "example-roster.csv").read_text(encoding="utf-8").splitlines()
        path = folder / "roster.csv"
        holders = lines[: max(tokens // 2, 1) + 1]
        path.write_text("\n".join(holders) + "\n", encoding="utf-8")
        return path


class _Script:
    """Runs the script, each time on a fresh key in the only reader."""

    def __init__(self, bench: VirtualBench, folder: Path) -> None:
        folder.mkdir()
        self._control = bench.control
        self._script = YkmanScript(folder, bench.environment)
        self.commands = 0

    def run(self) -> Measured:
        """One key."""
        self._control.replace(0, model=DEFAULT_MODEL, serial=SERIAL)
        over_usb: list[dict[str, Any]] = []

        def lay() -> None:
            over_usb.append(self._control.token(SERIAL))
            self._control.replace(0, model=CONTACTLESS, serial=SERIAL)

        run = self._script.program(SERIAL, lay)
        self.commands = run.commands
        lines = [*over_usb, self._control.token(SERIAL)]
        return Measured(
            cost=run.cost,
            cards=[line["seconds"] for line in lines],
            apdus=sum(line["apdus"] for line in lines),
            side_by_side=False,
        )


def _figures(rounds: Sequence[Round], commands: int, syncs: Mapping[str, int]) -> dict[str, Figure]:
    commits = sum(number for name, number in syncs.items() if name.endswith("-wal"))
    figures = {
        "batch.host_time_ratio": Figure(
            value=median(one.script.host / one.batch.host for one in rounds),
            unit="times",
            at_least=25,
        ),
        "batch.processor_time_ratio": Figure(
            value=median(_processor(one.script) / _processor(one.batch) for one in rounds),
            unit="times",
            at_least=10,
        ),
        "single.host_time_ratio": Figure(
            value=median(one.script.host / one.single.host for one in rounds), unit="times"
        ),
        "batch.peak_memory": Figure(
            value=max(one.batch.cost.peak for one in rounds) / MEGABYTE, unit="MB", at_most=150
        ),
        "batch.ledger_commits": Figure(value=commits / TOKENS, unit="commits/token"),
        "batch.fsyncs": Figure(value=sum(syncs.values()) / TOKENS, unit="fsyncs/token"),
        "script.commands": Figure(value=commands, unit="commands/token"),
    }
    for way in ("batch", "single", "script"):
        runs = [getattr(one, way).per_token for one in rounds]
        for name, (_, unit) in runs[0].items():
            figures[f"{way}.{name}"] = Figure(value=median(run[name][0] for run in runs), unit=unit)
    return figures


def _processor(run: Measured) -> float:
    return run.per_token["processor_time"][0]
