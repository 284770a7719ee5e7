"""What can go wrong with a batch of several tokens: each kind of fault, and where it can happen.

A fault is applied to a batch that has not begun or was cut off, by a run of the command that meets
it; what must hold then, and after the same command again, is `survival`'s. The four tokens are
disturbed at once, each at a command of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.crash.points import ANY, Point
from tests.crash.program import Run
from tests.crash.station import Station
from tests.faults.disk import Disk
from tests.other_client import holding
from tokenprov.sim.faults import FaultKind
from tokenprov.sim.specs import BenchError

COMMANDS = 121  # that each token gets in an undisturbed run
POINTS = 900  # that such a run passes with four tokens, a little more
PAGES = 190  # of disk that it takes, a little more
FIRST_WRITE = 62  # the command by which every order is bound to its token
TOKENS = 4
LINE_SECONDS = 20.0  # that the line waits for what is to come
NEVER = 100.0  # seconds until an answer
UNPLUGGED = 8  # times, one reader after another
LIMIT = "0.5"  # seconds for a command

BEHIND = frozenset({3})  # the exit code where the clock is behind the manifest

Place = int  # where a fault happens; what it counts differs with the kind
OTHERS = 32_000_001  # serials of tokens that nobody ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a fault is done to."""

    station: Station
    disk: Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind: `places` are those at which it can happen, `meet` runs the command so that it does.

    `codes` are the exit codes that such a run may have. `certificates` is how often the authority
    issues for one order. `fresh`: it waits for what only a batch does that has not begun.
    """

    name: str
    places: Sequence[Place]
    meet: Callable[[Bench, Place], Run]
    codes: frozenset[int] = frozenset({0, 8})
    certificates: int = 1
    fresh: bool = False


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what)
        time.sleep(0.005)


def _spread(place: Place, token: int) -> int:
    """The command of one of the tokens: together, places 1 to N/4 reach all."""
    return (place - 1) * TOKENS + token + 1


def at_commands(kind: FaultKind) -> Fault:
    """It happens to every token, each at another command."""

    def meet(bench: Bench, place: Place) -> Run:
        for number, serial in enumerate(bench.station.serials):
            bench.station.control.fault(serial, kind, at=_spread(place, number))
        return bench.station.issue()

    return Fault(name=kind.value, places=range(1, COMMANDS // TOKENS + 2), meet=meet)


def _killed(bench: Bench, place: Place) -> Run:
    return bench.station.issue(stop=Point(name=ANY, turn=place))


def _full(bench: Bench, place: Place) -> Run:
    bench.disk.fill(left=place)
    try:
        return bench.station.issue()
    finally:
        bench.disk.free()


def _in(world: str) -> Callable[[Bench, Place], Run]:
    def meet(bench: Bench, place: Place) -> Run:
        return bench.station.issue(world=f"tests.faults.worlds:{world}")

    return meet


def _set_back(bench: Bench, place: Place) -> Run:
    """Cut off at a point, and gone on with on an earlier day."""
    bench.station.issue(stop=Point(name=ANY, turn=place))
    return bench.station.issue(world="tests.faults.worlds:clock_set_back")


def _service(bench: Bench, place: Place) -> Run:
    """The service is killed while the tokens work, and started again."""
    control, first = bench.station.control, bench.station.serials[0]
    before = control.token(first)["apdus"]
    control.fault(first, FaultKind.DELAY, at=place, seconds=0.2)
    bench.station.begin_issue(wait=LINE_SECONDS)
    _until(lambda: control.token(first)["apdus"] >= before + place - 1, "no token is at work")
    control.restart_pcscd()
    return bench.station.end_issue()


def _grabbed(bench: Bench, place: Place) -> Run:
    """Another program has a reader, and lets it go when the others are done."""
    control = bench.station.control
    serial = bench.station.serials[place % TOKENS]
    others = [one for one in bench.station.serials if one != serial]
    before = {one: control.token(one)["apdus"] for one in others}
    with holding(control.token(serial)["reader"], bench.station.bench.environment):
        bench.station.begin_issue(wait=LINE_SECONDS)
        _until(
            lambda: all(control.token(one)["apdus"] > before[one] + 100 for one in others),
            "the other tokens are not worked on",
        )
    return bench.station.end_issue()


def _swapped(bench: Bench, place: Place) -> Run:
    """A token is pulled and another one put into its reader; later the first comes back."""
    control, number = bench.station.control, place % TOKENS
    serial, other = bench.station.serials[number], OTHERS + place
    control.fault(serial, FaultKind.UNPLUG_DURING, at=place)
    bench.station.begin_issue(wait=LINE_SECONDS)
    _until(lambda: not control.token(serial)["present"], "the token was not pulled")
    kept = control.snapshot(serial)
    control.replace(number, serial=other)
    asked: list[int] = [0]

    def left_alone() -> bool:
        """Whether it was asked who it is, and nothing more for a while."""
        time.sleep(0.2)
        asked.append(control.token(other)["apdus"])
        return asked[-1] == asked[-2] > 0

    _until(left_alone, "the newcomer was not looked at")
    control.replace(number, serial=serial)
    control.restore(serial, kept)
    run = bench.station.end_issue()
    assert f"no order is open for token {other}" in run.stderr, run.said
    return run


def _hot_plugged(bench: Bench, place: Place) -> Run:
    """All the while readers are unplugged with their tokens, and plugged in again."""
    control, draw = bench.station.control, random.Random(place)
    bench.station.begin_issue(wait=LINE_SECONDS)
    for _ in range(UNPLUGGED):
        number = draw.randrange(TOKENS)
        time.sleep(draw.uniform(0, 0.1))
        _until(lambda n=number: _noticed(control.unplug_reader, n), "pcscd keeps the reader")
        time.sleep(draw.uniform(0, 0.1))
        _noticed(control.plug_reader, number)
    return bench.station.end_issue()


def _noticed(move: Callable[[int], None], number: int) -> bool:
    """Whether pcscd noticed in time that a reader was moved; a busy machine takes longer."""
    try:
        move(number)
    except BenchError:
        return False
    return True


def _endless(bench: Bench, place: Place) -> Run:
    """A token never answers; it is given up, and the others are issued."""
    serial = bench.station.serials[place % TOKENS]
    bench.station.control.fault(serial, FaultKind.DELAY, at=place, seconds=NEVER)
    run = bench.station.issue("--command-limit", LIMIT)
    bench.station.control.remove(serial)
    return run


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *map(
            at_commands,
            (
                FaultKind.UNPLUG_DURING,
                FaultKind.UNPLUG_BEFORE,
                FaultKind.UNPLUG_AFTER,
                FaultKind.ANSWER_LOST,
                FaultKind.RESET_BEFORE,
                FaultKind.TRUNCATED,
                FaultKind.GARBAGE,
            ),
        ),
        Fault(
            name="killed",
            places=range(1, POINTS),
            meet=_killed,
            codes=frozenset({0, -9}),
        ),
        Fault(name="disk full", places=range(PAGES), meet=_full, codes=frozenset({0, 3})),
        Fault(
            name="clock backwards",
            places=[0],
            meet=_in("clock_backwards"),
            codes=BEHIND | {0},  # little was left to be done
        ),
        Fault(name="clock set back", places=range(1, POINTS), meet=_set_back, codes=BEHIND),
        Fault(name="issuer down", places=[0], meet=_in("issuer_down")),
        Fault(name="issuer down for some", places=[0], meet=_in("issuer_down_for_some")),
        Fault(name="issuer's answer lost", places=[0], meet=_in("issuer_answer_lost")),
        Fault(
            name="issuer answers twice",
            places=[0],
            meet=_in("issuer_answers_twice"),
            certificates=2,
        ),
        Fault(name="pcscd restarted", places=range(2, COMMANDS), meet=_service, fresh=True),
        Fault(name="reader grabbed", places=range(TOKENS), meet=_grabbed, fresh=True),
        Fault(name="token swapped", places=range(FIRST_WRITE, COMMANDS), meet=_swapped, fresh=True),
        Fault(name="hot-plug", places=range(100), meet=_hot_plugged, codes=frozenset({0})),
        Fault(name="token without an end", places=range(2, COMMANDS), meet=_endless),
    )
}
