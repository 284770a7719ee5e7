"""SIGKILL with two readers at work at once, and in the making of a station home."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.points import ANY, Point
from tests.crash.recovery import all_of, killed
from tests.crash.station import Station, station
from tokenprov.home import Home
from tokenprov.record.manifest import verify_manifest

FIRST, LAST, STEP = 60, 480, 28  # points of both readers together, counted as they come
LAST_OF_INIT = 10  # points: the home gets its name there
DONE, REFUSED = 0, 3  # exit codes of `init`: made; there is one already


@pytest.fixture(scope="module", params=[(1, 2), (2, 1)], ids=["kit-of-two", "two-holders"])
def pair(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Station]:
    """Two tokens in two readers: a holder's primary and spare, or two holders' tokens."""
    holders, kit = request.param
    folder = tmp_path_factory.mktemp("station")
    with station(folder, tokens=2, holders=holders, kit=kit) as made:
        yield made


def test_killed_with_two_tokens_at_work_it_finishes(pair: Station) -> None:
    """Each token is issued once, for the order that it was begun for."""
    stops = [Point(name=ANY, turn=turn) for turn in range(FIRST, LAST, STEP)]
    all_of(stops, lambda stop: killed(pair, [stop]), "two readers")


def made_again(made: Station, folder: Path, stop: Point) -> list[str]:
    """Kill `init` at a point, and run it again."""
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / "station"
    folder.mkdir()
    first = made.run("init", str(home), *made.init_options, stop=stop)
    was_made = home.exists()
    again = made.run("init", str(home), *made.init_options)
    faults = [] if first.killed else [f"it was not killed: {first.said}"]
    if again.status != (REFUSED if was_made else DONE):
        faults.append(again.said)
    Home.open(home).issuer("local")  # raises where something is missing
    faults += [f"{left.name} was left behind" for left in folder.iterdir() if left != home]
    faults += [str(finding) for finding in verify_manifest(home / "manifest").findings]
    return [f"init killed before {stop}: {fault}" for fault in faults]


def test_init_killed_anywhere_leaves_a_whole_home_or_none(single: Station, tmp_path: Path) -> None:
    """Run again, it makes the home, or says that it is there: then it is a whole one."""
    undisturbed = single.run("init", str(tmp_path / "station"), *single.init_options)
    assert undisturbed.status == DONE, undisturbed.said
    # every file is made by the same few calls: each second point, and the end without a gap
    stops = [*undisturbed.points[:-LAST_OF_INIT:2], *undisturbed.points[-LAST_OF_INIT:]]
    all_of(stops, lambda stop: made_again(single, tmp_path / "again", stop), "init")


def test_init_waits_for_the_disk(single: Station, tmp_path: Path) -> None:
    """When it says that the home is made, no power cut unmakes it."""
    run = single.run("init", str(tmp_path / "home"), *single.init_options)
    assert run.status == DONE, run.said
    assert set(run.points[-1].unsynced) <= {"manifest"}  # `pending` may come back
