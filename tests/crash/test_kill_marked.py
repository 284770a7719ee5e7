"""SIGKILL while a token without a serial is given back or unblocked: its mark goes in the middle.

The same command finishes each; where the reset was done and not seen, the entry says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.hands import READER, lies_in_its_reader
from tests.crash.held import is_held
from tests.crash.points import Point
from tests.crash.station import Station, station
from tests.crash.test_kill_standing import WHY, Desk, entries, judged, killed_everywhere
from tokenprov.home import Home
from tokenprov.lifecycle.subject import find_token
from tokenprov.record.history import State

MODEL, PROFILE, PIN = "security-key-5.7", "security-key", "fido2/pin"
HANDS = "tests.crash.hands:puts_it_in_again"


@dataclass(kw_only=True)
class MarkedDesk(Desk):
    """A station whose one Security Key is Ada's, and somebody who puts it in again."""

    mark: str
    unseen: int = 0  # entries that say that a reset was not seen

    def again(self) -> None:
        """As it was before, and the key in its reader."""
        super().again()
        lies_in_its_reader(self.made.control)

    def run(self, *command: str, stop: Point | None = None) -> Any:
        """A command, killed at a point; the key is in its reader after it."""
        done = self.made.run("--home", str(self.made.home), *command, stop=stop, world=HANDS)
        lies_in_its_reader(self.made.control)
        return done

    def inside(self) -> dict[str, Any]:
        """What is in its FIDO2 application."""
        found: dict[str, Any] = self.made.control.snapshot(READER)["applets"]["fido2"]
        return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarkedDesk]:
    """By the ready profile: a PIN and a passkey."""
    with station(tmp_path_factory.mktemp("marked"), model=MODEL, profile=PROFILE) as made:
        yield _desk_of(made, tmp_path_factory.mktemp("before"))


def _desk_of(made: Station, folder: Path) -> MarkedDesk:
    made.fresh(MODEL)
    run = made.issue("--without-serial", "1")
    assert run.status == 0, run.said
    before = made.folder / "before"
    shutil.copytree(made.home, before)
    (order,) = made.rows("SELECT token_label FROM orders")
    token = made.control.snapshot(READER)
    return MarkedDesk(
        made=made, serial=READER, before=before, token=token, mark=order["token_label"]
    )


def at(
    desk: MarkedDesk, kind: str, state: State, look: Callable[[Home], Iterator[str]]
) -> Callable[[Home], list[str]]:
    """A look that finds the token in that state, nothing unfinished, and what `look` finds."""

    def looks(home: Home) -> list[str]:
        token = find_token(home, desk.mark)
        faults = [] if token.state is state else [f"it is {token.state}"]
        faults += [f"{one.kind} is not finished" for one in home.ledger.works.unfinished()]
        desk.unseen += sum(
            "unseen" in one for one in home.manifest.entries() if one["kind"] == kind
        )
        return faults + list(look(home))

    return looks


def test_killed_while_it_is_given_back(desk: MarkedDesk) -> None:
    """At every command that may change the key and an eighth of the disk's writes: it is blank."""

    def look(home: Home) -> Iterator[str]:
        inside = desk.inside()
        if inside["pin_hash"] or inside["credentials"]:
            yield "it is not emptied"
        if home.ledger.wipes.open(desk.mark) is not None:
            yield "its wipe is not finished"

    looks = at(desk, "wiped", State.UNMARKED, look)
    killed_everywhere(desk, ("return", desk.mark, *WHY), "wiped", looks, every=8)
    assert desk.unseen > 0, "no kill came between the reset and its entry"


def test_killed_while_it_is_unblocked(desk: MarkedDesk) -> None:
    """The same at a fourth and a twelfth: the custodians hold its PIN, and it has one passkey."""
    desk.unseen = 0

    def look(home: Home) -> Iterator[str]:
        inside = desk.inside()
        pins = [one for one in desk.made.sealed(desk.mark) if one.context.name == PIN]
        value = bytes.fromhex(inside["pin_hash"])
        active = [one for one in pins if one.state == "active"]
        if len(active) != 2 or not all(is_held(PIN, value, one.value) for one in active):
            yield "its PIN is not the one in escrow"
        if len(inside["credentials"]) != 1:
            yield f"it has {len(inside['credentials'])} passkeys"

    looks = at(desk, "unblocked", State.HELD, look)
    command = ("unblock", desk.mark, "--fido2", *WHY)
    killed_everywhere(desk, command, "unblocked", looks, every=12, token_every=4, twice=True)


def test_killed_at_the_reset(desk: MarkedDesk) -> None:
    """Before the reset is sent it is done again and seen; right after it, it was not seen."""
    desk.again()
    command = ("return", desk.mark, *WHY)
    points = [point for point in desk.run(*command).points if point.writes]
    (at_reset,) = [n for n, one in enumerate(points) if one.name.endswith("ctap-7")]
    for stop, seen in ((points[at_reset], True), (points[at_reset + 1], False)):
        desk.again()
        assert desk.run(*command, stop=stop).killed, stop
        assert bool(desk.inside()["pin_hash"]) is seen, stop
        run = desk.run(*command)
        assert run.status == 0, run.said
        desk.unseen = 0
        looks = at(desk, "wiped", State.UNMARKED, lambda _: iter(()))
        assert (judged(desk, looks), entries(desk, "wiped")) == ([], 1)
        assert desk.unseen == (0 if seen else 1), stop
