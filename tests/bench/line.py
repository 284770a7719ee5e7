"""The line on tokens that take as long as real ones (`sim.latency`): against a replay, by readers.

Beside a replay (`replay`): the same commands sent to a fresh token of the same model and nothing
else done. Both wait for that token, and both are timed by whoever puts it in, from the moment when
it is in the reader until they say what they have to say: the line that the token is issued, the
replay that the last command was answered. Neither has then given the reader back.
`line.host_time` and `replay.host_time` are those times less what the card needed, the replay's at
the median of some before the line's run and some after it. `line.host_time_ratio` is the one by the
other, and `line.time_ratio` the same with the card's time in both, which is what a person waits
for. `replay.connected_time` is the replay's from its connection to its end, without the waiting:
what pcscd takes to tell of a token is in neither of the two.

By readers: a batch of `EACH` tokens for each reader, the next put in as soon as the one before is
issued. `line.rate_N` is what the readers give together once all are at work: those that each gave
after its first, by the seconds from the first to the last, added up. How a program starts, and
readers that nobody puts a token into any more, are not in it. `line.scaling_N` is that by N times
the rate of one reader. While the tokens are the limit it is near 1. `line.processors_busy_16` tells
whether they were: it is the share of this machine's processors that was in use during that run, by
the program, by the virtual tokens (which compute what a real one computes for itself) and by
whatever else runs here.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import IO

from tests.bench.commands import CommandFailed, cost_of, peak_memory
from tests.bench.figures import Figure
from tests.bench.replay import ANSWERED, WAITING, read_commands
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.control import SimControl
from tokenprov.sim.models import DEFAULT_MODEL

ROOT = Path(__file__).parents[2]
TOKENPROV = str(Path(sys.executable).with_name("tokenprov"))
READERS = (1, 2, 4, 8, 16)
EACH = 5  # tokens in each reader
REPLAYS = 3
SERIAL = 32_000_001
SECONDS = 20.0  # without a token, after which the line gives up
HEADER = "id,name,email,upn\n"


@dataclass(slots=True, kw_only=True)
class Issued:
    """One token: its reader, when it was in, when it was issued, and what its card needed."""

    reader: str
    began: float
    ended: float
    card: float


@dataclass(slots=True, kw_only=True)
class Replayed:
    """A replay: the host's seconds from the token in the reader on, and from the connection on."""

    host: float
    connected: float


@dataclass(slots=True, kw_only=True)
class Run:
    """A batch that has ended."""

    busy: float = 0.0  # share of the processors
    peaks: list[int] = field(default_factory=list)  # bytes of memory, by tokens issued
    issued: list[Issued] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Tokens a second, of all readers."""
        ended: dict[str, list[float]] = {}
        for one in self.issued:
            ended.setdefault(one.reader, []).append(one.ended)
        return sum((len(mine) - 1) / (max(mine) - min(mine)) for mine in ended.values())


def measure(folder: Path) -> dict[str, Figure]:
    """All of it; `folder` is empty and ours."""
    with VirtualBench(tokens=max(READERS), serial_base=SERIAL, latency=True) as bench:
        line = LineBench(bench, folder)
        runs = {}
        for readers in reversed(READERS):
            for number in range(readers, max(READERS)):
                if bench.control.tokens()[number]["plugged"]:
                    bench.control.unplug_reader(number)
            if readers == 1:  # between replays, as what else the machine does changes
                line.record()
                took = line.replay()
            runs[readers] = line.run(readers)
        took += line.replay()
    replayed = median(one.host for one in took)
    rates = {readers: runs[readers].rate for readers in READERS}
    alone = runs[1].issued[1:]  # the first one waits for what the program does once
    host = median(one.ended - one.began - one.card for one in alone)
    card = median(one.card for one in alone)
    return {
        "line.host_time_ratio": Figure(value=host / replayed, unit="times", at_most=1.3),
        "line.time_ratio": Figure(
            value=(host + card) / (replayed + card), unit="times", at_most=1.3
        ),
        "line.host_time": Figure(value=host, unit="s/token"),
        "line.card_time": Figure(value=card, unit="s/token"),
        "replay.host_time": Figure(value=replayed, unit="s/token"),
        "replay.connected_time": Figure(
            value=median(one.connected for one in took), unit="s/token"
        ),
        "line.processors_busy_16": Figure(value=runs[16].busy, unit="share"),
        **{
            f"line.rate_{readers}": Figure(value=rate, unit="tokens/s")
            for readers, rate in rates.items()
        },
        **{
            f"line.scaling_{readers}": Figure(
                value=rates[readers] / (readers * rates[1]),
                unit="share",
                at_least=0.9 if readers == 16 else None,
            )
            for readers in READERS[1:]
        },
    }


class LineBench:
    """Runs batches on the tokens of a bench, each in a new home."""

    def __init__(self, bench: VirtualBench, folder: Path) -> None:
        self._bench, self._folder = bench, folder
        self._environment = bench.environment
        self._recorded = folder / "commands"
        self._serials = itertools.count(SERIAL + 100)

    def run(self, readers: int, each: int = EACH) -> Run:
        """A batch in the first readers, in each of which so many fresh tokens are put in turn."""
        command = self._batch(f"readers-{readers}-{each}", readers * each)
        self._freshen(readers)
        said = self._folder / f"report-{readers}"
        idle, total = _ticks()
        with said.open("wb") as report:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=report,
                stderr=subprocess.PIPE,
                env={**os.environ, **self._environment},
                text=True,
            )
        assert process.stderr is not None
        feeder = _Feeder(self._bench, readers, each, self._serials)
        with process.stderr as lines, ThreadPoolExecutor(readers) as pool:
            for line in lines:
                if not line.startswith("{"):  # a message: it ended otherwise than it should
                    raise CommandFailed(line + lines.read())
                feeder.hear(line, pool)
                if '"TokenIssued"' in line:
                    feeder.run.peaks.append(peak_memory(process.pid))
        feeder.refuse_failed()
        if process.wait() != 0:
            raise CommandFailed(
                f"the batch for {readers} readers ended with {process.returncode}; put in and not"
                f" issued: {feeder.waiting or 'nothing'}"
            )
        after = _ticks()
        feeder.run.busy = 1 - (after[0] - idle) / (after[1] - total)
        return feeder.run

    def record(self) -> None:
        """Note the commands that a token gets, for `replay`."""
        command = self._batch("recorded", 1)
        self._freshen(1)
        recorder = [sys.executable, "-m", "tests.bench.recorder", str(self._recorded)]
        cost_of([*recorder, *command[1:]], self._with_tests, self._folder)
        if not read_commands(self._recorded):
            raise CommandFailed("no command was recorded")

    def replay(self) -> list[Replayed]:
        """The commands of one token sent to a fresh one, some times over."""
        return [self._replay_once() for _ in range(REPLAYS)]

    def _replay_once(self) -> Replayed:
        reader = self._bench.control.tokens()[0]["reader"]
        program = [sys.executable, "-m", "tests.bench.replay", str(self._recorded), reader]
        environment = {**os.environ, **self._with_tests}
        with subprocess.Popen(
            program, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            _expect(process.stdout, WAITING)
            self._freshen(1)
            began = time.perf_counter()
            _expect(process.stdout, ANSWERED)
            took = time.perf_counter() - began
            connected = process.stdout.read()
        if process.returncode != 0:
            raise CommandFailed(f"the replay ended with {process.returncode}")
        card: float = self._bench.control.tokens()[0]["seconds"]
        return Replayed(host=took - card, connected=float(connected) - card)

    def _batch(self, name: str, orders: int) -> list[str]:
        """The command for a batch in a new home."""
        folder = self._folder / name
        folder.mkdir()
        home, roster = str(folder / "station"), folder / "roster.csv"
        roots = Path(self._environment[ROOTS_FOLDER])
        trust = [f"--trust={roots / pem}" for pem in ("root.pem", "chain.pem")]
        cost_of([TOKENPROV, "init", home, "--name", "bench", *trust], self._environment, folder)
        rows = (f"E{n},Ann {n},a{n}@example.test,a{n}@example.test\n" for n in range(orders))
        roster.write_text(HEADER + "".join(rows), encoding="utf-8")
        command = [TOKENPROV, "--home", home, "batch", "run", str(roster), "--json"]
        return [*command, "--profile", "standard-employee", "--wait", str(SECONDS)]

    def _freshen(self, readers: int) -> None:
        for number in range(readers):
            self._bench.control.replace(number, model=DEFAULT_MODEL, serial=next(self._serials))

    @property
    def _with_tests(self) -> dict[str, str]:
        """The environment for our own programs."""
        return {**self._environment, "PYTHONPATH": str(ROOT)}


class _Feeder:
    """The person at the bench: puts in the next token as soon as one is issued."""

    def __init__(
        self, bench: VirtualBench, readers: int, each: int, serials: Iterator[int]
    ) -> None:
        lines = bench.control.tokens()[:readers]
        self._number = {line["reader"]: line["number"] for line in lines}
        self._path, self._serials = bench.control.path, serials
        self._left = dict.fromkeys(self._number, each - 1)
        self._began: dict[str, float] = {}
        self._moves: list[Future[None]] = []  # what the hands did
        self.waiting: dict[str, int] = {}  # by reader, tokens that were put in since and not issued
        self.run = Run()

    def hear(self, line: str, hands: ThreadPoolExecutor) -> None:
        """An event of the program's."""
        now, event = time.perf_counter(), json.loads(line)
        match event["event"]:
            case "TokenSeen" if event["reader"] not in self._began:
                self._began[event["reader"]] = now
            case "TokenIssued":
                self.waiting.pop(event["reader"], None)
                self._moves.append(hands.submit(self._next, event["reader"], now))
            case "OrderFailed" | "TokenPassedOver" | "TokenGivenUp":
                raise CommandFailed(f"{event['label']}: {event['reason']}")

    def _next(self, reader: str, ended: float) -> None:
        with closing(SimControl(self._path)) as control:
            number = self._number[reader]
            card = control.tokens()[number]["seconds"]
            self.run.issued.append(
                Issued(reader=reader, began=self._began[reader], ended=ended, card=card)
            )
            if self._left[reader]:
                self._left[reader] -= 1
                self.waiting[reader] = next(self._serials)
                control.replace(number, model=DEFAULT_MODEL, serial=self.waiting[reader])
                self._began[reader] = time.perf_counter()

    def refuse_failed(self) -> None:
        """Raises what kept a token from being put in, where there was anything."""
        for move in self._moves:
            move.result()


def _ticks() -> tuple[int, int]:
    """The processors' idle time, and all of it, since the machine started (proc(5), /proc/stat)."""
    first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    ticks = [int(word) for word in first.split()[1:9]]  # guest time is in user time already
    return ticks[3] + ticks[4], sum(ticks)


def _expect(lines: IO[str], word: str) -> None:
    if (said := lines.readline().strip()) != word:
        raise CommandFailed(f"the replay says {said!r} and not {word!r}")
