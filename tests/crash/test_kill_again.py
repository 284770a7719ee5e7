"""SIGKILL on older firmware, again and again, and while the token is at work.

5.2.7 has no metadata: whether a PIN or PUK was changed has to be tried, and every try counts.
"""

from __future__ import annotations

import random

import pytest

from tests.crash.points import ANY, Point
from tests.crash.recovery import all_of, killed, points_of
from tests.crash.station import Station
from tokenprov.sim.faults import FaultKind

OLD = ("yubikey-5.2.7", "yubikey-5.4.3")
PARTS = 3
SEEDS = range(8)
KILLS = 5  # one after another
BUSY = 0.4  # seconds that a slow token needs for one command
SLOW = ("00240080", "00240081", "00ffffff", "0047009a", "00010100", "ctap-6")


@pytest.fixture(scope="module")
def old_points(single: Station) -> dict[str, tuple[Point, ...]]:
    """The points of an undisturbed run on each older firmware."""
    return {model: points_of(single, model) for model in OLD}


@pytest.mark.parametrize("part", range(PARTS))
def test_without_metadata_it_finishes_after_a_kill(
    single: Station, old_points: dict[str, tuple[Point, ...]], part: int
) -> None:
    """On 5.2.7, killed before every write to the token and after it, no PIN is lost or blocked."""
    here = [p for p in old_points[OLD[0]] if p.writes and (p.is_apdu or p.name == "commit")]
    all_of(here[part::PARTS], lambda point: killed(single, [point], model=OLD[0]), OLD[0])


def test_on_middle_firmware_it_finishes_after_a_kill(
    single: Station, old_points: dict[str, tuple[Point, ...]]
) -> None:
    """On 5.4.3, killed before a sample of the writes to the token, it finishes."""
    here = [p for p in old_points[OLD[1]] if p.is_apdu and p.writes]
    all_of(here[::3], lambda point: killed(single, [point], model=OLD[1]), OLD[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_again_and_again_it_finishes(
    single: Station, old_points: dict[str, tuple[Point, ...]], seed: int
) -> None:
    """A station whose power fails five times in a row finishes; each run starts from the token."""
    draw = random.Random(seed)
    model = OLD[0] if seed % 2 else "yubikey-5.7.4"
    stops = [Point(name=ANY, turn=draw.randint(30, 200)) for _ in range(KILLS)]
    faults = killed(single, stops, model=model)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("command", SLOW)
def test_killed_while_the_token_works_it_finishes(
    single: Station, points: tuple[Point, ...], command: str
) -> None:
    """The token carries out what it was told, to nobody; the next run waits for it and sees it."""
    before = [point for point in points if point.is_apdu]
    point = next(one for one in before if one.name.endswith(command))

    def slow_down() -> None:
        at = before.index(point) + 1
        single.control.fault(single.serial, FaultKind.DELAY, at=at, seconds=BUSY)

    faults = killed(single, [point], late=BUSY / 2, prepare=slow_down)
    assert not faults, "\n".join(faults)
