"""The token pulled at a command, its answer lost or garbled, or the card reset by somebody else."""

from __future__ import annotations

import time

import pytest

from tests.crash.judgement import after_kill, at_end
from tests.crash.points import Point
from tests.crash.recovery import all_of, begin, finished
from tests.crash.station import Station
from tokenprov.sim.faults import FaultKind

ISSUED, LEFT = 0, 8  # exit codes of `batch run`: all orders are issued; some are left
LINE_SECONDS = 20.0  # that the line waits for the token to come back
# What happens to the token, and at which of the writes: 1 is every one, 4 every fourth.
FAULTS = {
    FaultKind.UNPLUG_DURING: 1,
    FaultKind.ANSWER_LOST: 1,
    FaultKind.UNPLUG_BEFORE: 4,
    FaultKind.UNPLUG_AFTER: 4,
    FaultKind.RESET_BEFORE: 2,
    FaultKind.TRUNCATED: 4,
    FaultKind.GARBAGE: 4,
}
READ_STEP = 8  # of the reads, these many apart


def commands(points: tuple[Point, ...], every: int) -> list[tuple[int, Point]]:
    """Writing commands with their number among all commands, from 1, and some reads."""
    numbered = list(enumerate((point for point in points if point.is_apdu), start=1))
    writes = [(number, point) for number, point in numbered if point.writes]
    reads = [(number, point) for number, point in numbered if not point.writes]
    return writes[::every] + reads[:: READ_STEP * every]


def disturbed(station: Station, number: int, kind: FaultKind) -> list[str]:
    """Have the fault happen at that command, put the token back, and let the command finish."""
    factory = begin(station)
    station.control.fault(station.serial, kind, at=number)
    run = station.issue()
    faults = after_kill(station, factory)
    if run.status not in (ISSUED, LEFT):
        faults.append(run.said)
    station.control.clear_faults(station.serial)
    if not station.control.token(station.serial)["present"]:
        station.control.insert(station.serial)
    faults += finished(station, factory)
    return [f"{kind.value} at command {number}: {fault}" for fault in faults]


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.value)
def test_disturbed_at_any_command_it_finishes(
    single: Station, points: tuple[Point, ...], kind: FaultKind
) -> None:
    """With the same token in again, the same command finishes, and nobody lost a secret."""
    number_of = {point: number for number, point in commands(points, FAULTS[kind])}
    all_of(number_of, lambda point: disturbed(single, number_of[point], kind), kind.value)


@pytest.mark.parametrize("command", ["00240081", "00ffffff", "00010300", "ctap-d"])
def test_pulled_and_put_back_the_line_goes_on_by_itself(
    single: Station, points: tuple[Point, ...], command: str
) -> None:
    """Within one run the line takes the token up again, and finishes its order and no other."""
    numbered = [point for point in points if point.is_apdu]
    number = next(n for n, point in enumerate(numbered, start=1) if point.name.endswith(command))
    factory = begin(single)
    single.control.fault(single.serial, FaultKind.UNPLUG_DURING, at=number)
    single.begin_issue(wait=LINE_SECONDS)
    deadline = time.monotonic() + LINE_SECONDS
    while single.control.token(single.serial)["present"]:
        assert time.monotonic() < deadline, "the token was not pulled"
        time.sleep(0.01)
    lost = after_kill(single, factory)
    single.control.insert(single.serial)
    run = single.end_issue()
    assert not lost
    assert run.status == ISSUED, run.said
    assert not at_end(single, factory)
