"""The machine is switched off anywhere: ledger, manifest and escrow from what reached the disk.

One run with two tokens is recorded, every call to the disk and every command to a token; then the
home is put together as it may be found after a power cut at any of them.
"""

from __future__ import annotations

import copy
import json
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.held import held, not_openable
from tests.crash.judgement import State
from tests.crash.recovery import begin, finished
from tests.crash.station import Station, station
from tests.faults.machine import SCRATCH, Machine, Record, Survives, build, read_log
from tokenprov.record.manifest import verify_manifest

TOKENS = 2
FINISHED = 3  # of the moments, the command goes on from every third
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
    """A station, its tokens as the factory made them, and what one run did."""

    station: Station
    factory: dict[int, State]
    records: Sequence[Record]
    machine: Machine  # as it was before the run
    left: dict[str, bytes]  # the files after it


@dataclass(slots=True)
class Moment:
    """Between two records: what the tokens may hold, and which entries were told."""

    tokens: dict[int, State]  # as they are, or will be when they have done what they were told
    told: int = 0  # entries

    def passed(self, record: Record) -> None:
        """The program left a mark."""
        if record.kind == "i":
            self.told = max(self.told, record.offset + 1)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """One holder's primary and spare, issued in one run."""
    folder = tmp_path_factory.mktemp("machine")
    log, home = folder / "log", folder / "there"
    home.mkdir()
    preload = (f"LD_PRELOAD={build(folder)}", f"FAULTS_FOLDER={home / 'station'}")
    within = ("env", *preload, f"FAULTS_LOG={log}")
    with station(home, tokens=TOKENS, kit=TOKENS, within=within) as made:
        factory = begin(made)
        machine = Machine(made.home, str(home / "station"))
        log.touch()
        run = made.issue(world="tests.faults.recording:marked")
        records = read_log(log)
        log.unlink()
        assert run.status == 0, run.said
        yield Recorded(
            station=made,
            factory=factory,
            records=records,
            machine=machine,
            left=contents(made.home),
        )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that a crash leaves."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(SCRATCH)
    }


def moments(recorded: Recorded) -> Iterator[tuple[int, Machine, Moment]]:
    """Every moment at which something was just told to a token, or is about to be synced."""
    machine = copy.deepcopy(recorded.machine)
    moment = Moment(tokens=dict(recorded.factory))
    after: dict[int, deque[State]] = {token: deque() for token in recorded.factory}
    for record in recorded.records:
        if record.kind == "q":
            after[record.offset].append(json.loads(record.data))
    for number, record in enumerate(recorded.records):
        if record.kind in "sa":
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


def breaches(recorded: Recorded, moment: Moment) -> Iterator[str]:
    """What is wrong with the home as it lies there, beside the tokens of that moment."""
    made = recorded.station
    for token, state in moment.tokens.items():
        kept = held(state, recorded.factory[token])
        for what in not_openable(kept, made.sealed(token)):
            yield f"token {token} holds {what}, which is lost"
    report = verify_manifest(made.home / "manifest")
    yield from (f"manifest: {one}" for one in report.findings if one.rule not in CUT_OFF)
    if report.size < moment.told:
        yield f"{moment.told} entries were told, and {report.size} are there"


def test_what_tokens_hold_is_never_lost(
    recorded: Recorded, record_property: pytest.RecordProperty
) -> None:
    """Custodians can open it, and what was told as issued is in a manifest that verifies."""
    judged, found = 0, []
    for number, machine, moment in moments(recorded):
        for way in WAYS:
            machine.left(recorded.station.home, WAYS[way](number))
            judged += 1
            found += [f"{number}, {way}: {one}" for one in breaches(recorded, moment)]
    record_property("faults", [f"power cut: {judged} states judged", f"breaches: {len(found)}"])
    assert judged > 500
    assert not found, "\n".join(found)


def test_from_there_the_same_command_finishes(
    recorded: Recorded, record_property: pytest.RecordProperty
) -> None:
    """With the home that is left, and the tokens as they are then, both are issued once."""
    made, found, tried = recorded.station, [], 0
    for turn, (number, machine, moment) in enumerate(moments(recorded)):
        if turn % FINISHED:
            continue
        way = list(WAYS)[tried % len(WAYS)]
        machine.left(made.home, WAYS[way](number))
        for place, (token, state) in enumerate(moment.tokens.items()):
            made.control.replace(place, serial=token)
            made.control.restore(token, state)
        tried += 1
        found += [f"{number}, {way}: {one}" for one in finished(made, recorded.factory)]
    record_property("faults", [f"power cut: {tried} times gone on", f"breaches: {len(found)}"])
    assert tried > 30
    assert not found, "\n".join(found)


def test_a_disk_that_never_syncs_loses_secrets(recorded: Recorded) -> None:
    """What judges them can fail: with no sync done, what tokens hold at the end is lost."""
    machine = copy.deepcopy(recorded.machine)
    for record in recorded.records:
        if record.kind not in "sa":
            machine.did(record)
    *_, (_, _, moment) = moments(recorded)
    machine.left(recorded.station.home, Nothing())
    assert list(breaches(recorded, moment))


def test_the_disk_is_as_the_records_say(recorded: Recorded) -> None:
    """All of it done again is the home as the run left it, byte for byte, but for scratch files."""
    *_, (_, machine, _) = moments(recorded)
    again = recorded.station.folder / "again"
    machine.left(again, Everything())
    assert contents(again) == recorded.left
