"""A power cut while a command runs: the ways in which a disk may be found, and the moments.

A run is recorded, every call to the disk and every command to a token; then the home is put
together as it may lie there after a power cut at any of them (`machine`).
"""

from __future__ import annotations

import copy
import json
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.judgement import State
from tests.crash.program import Run
from tests.crash.station import Station
from tests.faults.machine import SCRATCH, Machine, Record, Survives, build, read_log

MARKED = "tests.faults.recording:marked"  # the world of a run that is recorded
SYNCS, CHANGES = "sa", "cwtrlum"  # kinds of records (machine.c)
CUT_OFF = {"pending"}  # what may be found in a manifest whose append was cut off


class Nothing(Survives):
    """What was not synced is gone."""

    def __call__(self, what: str) -> bool:
        return False


class Only(Survives):
    """All of one kind of change arrived, and nothing of the other."""

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds

    def __call__(self, what: str) -> bool:
        return what in self._kinds


class Everything(Survives):
    """All of it arrived."""

    def __call__(self, what: str) -> bool:
        return True


class AtRandom(Survives):
    """Each change for itself."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def __call__(self, what: str) -> bool:
        return self._draw.random() < 0.5


WAYS = {
    "nothing": lambda seed: Nothing(),
    "names": lambda seed: Only("name"),
    "data": lambda seed: Only("data", "whole"),
    "some": AtRandom,
    "some, otherwise": lambda seed: AtRandom(~seed),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A station, its tokens as they were (the factory's, or somebody's), and what one run did."""

    station: Station
    factory: dict[int, State]
    records: Sequence[Record]
    machine: Machine  # as it was before the run
    left: dict[str, bytes]  # the files after it


class Log:
    """What a program writes down in a folder, and the folder in which the home is then."""

    def __init__(self, folder: Path) -> None:
        self._path, self.there = folder / "log", folder / "there"
        self.there.mkdir()
        preload = (f"LD_PRELOAD={build(folder)}", f"FAULTS_FOLDER={self.there / 'station'}")
        self.within = ("env", *preload, f"FAULTS_LOG={self._path}")  # what starts the program

    def record(
        self, station: Station, tokens: Mapping[int, State], run: Callable[[], Run]
    ) -> Recorded:
        """Record a run, which succeeds; `tokens` are as they are before it."""
        machine = Machine(station.home, str(self.there / "station"))
        self._path.write_bytes(b"")
        ended = run()
        records = read_log(self._path)
        self._path.unlink()
        assert ended.status == 0, ended.said
        return Recorded(
            station=station,
            factory=dict(tokens),
            records=records,
            machine=machine,
            left=contents(station.home),
        )


@dataclass(slots=True)
class Moment:
    """Between two records: what the tokens may hold, and which entries were told."""

    tokens: dict[int, State]  # as they are, or will be when they have done what they were told
    told: int = 0  # entries

    def passed(self, record: Record) -> None:
        """The program left a mark."""
        if record.kind == "i":
            self.told = max(self.told, record.offset + 1)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that a crash leaves."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(SCRATCH)
    }


def moments(recorded: Recorded, before: str = SYNCS) -> Iterator[tuple[int, Machine, Moment]]:
    """Every moment at which something was just told to a token, or is about to be synced.

    Or to be done of other kinds, `before` which the moments are then.
    """
    machine = copy.deepcopy(recorded.machine)
    moment = Moment(tokens=dict(recorded.factory))
    after: dict[int, deque[State]] = {token: deque() for token in recorded.factory}
    for record in recorded.records:
        if record.kind == "q":
            after[record.offset].append(json.loads(record.data))
    for number, record in enumerate(recorded.records):
        if record.kind in before:
            yield number, machine, moment
        if record.kind == "p":
            state = after[record.offset].popleft()
            told = state != moment.tokens[record.offset]
            moment.tokens[record.offset] = state
            if told:
                yield number, machine, moment
        moment.passed(record)
        machine.did(record)
    yield len(recorded.records), machine, moment
