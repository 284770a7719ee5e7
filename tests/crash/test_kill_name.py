"""SIGKILL while a blank PIV card is given a name: it has one in the end, and keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.crash.points import ANY, Point
from tests.crash.recovery import all_of
from tests.crash.station import Station, station

CARD = "piv-card-t0"  # comes without a CHUID
PUT_DATA = " 00db"  # ISO/IEC 7816-4, 11.4
EVERY = 8  # of the other points
CHUID = "5fc102"  # SP 800-73-4 part 1, table 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """One card, made anew for each trial."""
    with station(tmp_path_factory.mktemp("name"), model=CARD) as found:
        yield found


def chuid(made: Station) -> str:
    """The object of the card's name, hex; nothing where it holds none."""
    (card,) = made.control.tokens()  # which says no serial by itself
    state = made.control.snapshot(card["serial"])
    return str(state["applets"]["piv"]["objects"].get(CHUID, ""))


def test_killed_while_a_card_is_named(made: Station) -> None:
    """At its writing and around it: the same command names it, or leaves it what name it took."""
    command = ("--home", str(made.home), "token", "name", "--all", "--json")
    made.fresh(CARD)
    assert chuid(made) == ""
    whole = made.run(*command)
    assert whole.status == 0, whole.said
    assert any(PUT_DATA in point.name for point in whole.points)
    points = [
        Point(name=ANY, turn=turn)
        for turn, point in enumerate(whole.points, start=1)
        if PUT_DATA in point.name or turn % EVERY == 0 or point.name == "end"
    ]

    def trial(stop: Point) -> list[str]:
        made.fresh(CARD)
        run = made.run(*command, stop=stop)
        faults = [] if run.killed else [f"it was not killed: {run.said}"]
        before = chuid(made)
        again = made.run(*command)
        if again.status:
            return [*faults, f"the same command again: {again.said}"]
        told, after = json.loads(again.stdout), chuid(made)
        if before and (told or after != before):
            faults.append(f"it was named already, and is {told} now")
        if not before and (len(told) != 1 or told[0]["serial"].replace("-", "") not in after):
            faults.append(f"it is told as {told}, and holds {after!r}")
        return [f"killed before {stop}: {fault}" for fault in faults]

    all_of(points, trial, "token name")
