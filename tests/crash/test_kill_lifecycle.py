"""SIGKILL in an unblocking, a rotation and a replacement: the same command finishes each of them.

The token stays in its reader and is done to again and again, so that each trial costs two runs: one
that is killed and one that finishes. After the kill the custodians can open what the token holds;
at the end its last generation is the one in force.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.crash.held import held, is_held, not_openable
from tests.crash.points import Point
from tests.crash.recovery import all_of
from tests.crash.station import Station, station
from tokenprov.home import Home
from tokenprov.issuer import Standing
from tokenprov.record.history import State
from tokenprov.record.manifest import Manifest, verify_manifest
from tokenprov.step import PROBE_RESERVE

EVERY = 6  # of the points that are in a sample
EVERY_OF_ISSUE = 40  # of those in the making of the new token, which other files kill at each of
ISSUED = {"applets": {"otp": {"slots": ["", ""]}}}  # nothing of it is the factory's any more

_serials = itertools.count(41_000_001)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station whose one token is somebody's."""
    with station(tmp_path_factory.mktemp("lifecycle")) as made:
        made.fresh()
        run = made.issue()
        assert run.status == 0, run.said
        yield made


def command(made: Station, what: str, purpose: str) -> Sequence[str]:
    """`unblock` or `rotate` of the token, by a custodian."""
    key = made.home / "custodians" / "private" / f"{purpose}.pem"
    options = ("--key", str(key), "--reason", "a test", "--operator", "tester")
    return ("--home", str(made.home), what, str(made.serial), *options)


def openable(made: Station, token: int, factory: Mapping[str, Any]) -> list[str]:
    """What a token holds and is lost, and tries that were spent on the way."""
    state = made.control.snapshot(token)
    lost = not_openable(held(state, factory), made.sealed(token))
    faults = [f"it holds {what}, which is lost" for what in lost]
    for name in ("pin", "puk"):
        left = state["applets"]["piv"][name]["left"]
        if left <= PROBE_RESERVE:
            faults.append(f"{left} tries of its {name} are left")
    return faults


def settled(made: Station, token: int) -> Iterator[str]:
    """What is wrong once a command says that it is done."""
    yield from openable(made, token, ISSUED)
    in_force = [one for one in made.sealed(token) if one.state == "active"]
    for name, value in held(made.control.snapshot(token), ISSUED).items():
        active = [one for one in in_force if one.context.name == name]
        purposes = sorted(one.context.purpose for one in active)
        if len(set(purposes)) != len(purposes) or "break-glass" not in purposes:
            yield f"{name} is active for {purposes}"
        if not all(is_held(name, value, one.value) for one in active):
            yield f"{name} is active in escrow with another value than the token's"
    yield from (f"{path.name} is still there" for path in (made.home / "open").iterdir())
    if made.rows("SELECT id FROM envelopes WHERE purpose = 'station'"):
        yield "the station still holds envelopes of its own"
    if made.rows("SELECT id FROM works WHERE entry_index IS NULL AND ended IS NULL"):
        yield "a work is not finished"
    yield from map(str, verify_manifest(made.home / "manifest").findings)


def entries(made: Station, kind: str) -> int:
    """How many there are."""
    log = Manifest.open(made.home / "manifest")
    return sum(entry["kind"] == kind for entry in log.entries())


def trial(
    made: Station, arguments: Sequence[str], kind: str, stop: Point, world: str = ""
) -> list[str]:
    """Kill it at a point, look, let it finish, and look again."""
    before = entries(made, kind)
    run = made.run(*arguments, stop=stop, world=world)
    if not made.control.token(made.serial)["present"]:  # killed between the hand's two moves
        made.control.insert(made.serial)
    faults = [] if run.killed or run.status == 0 else [f"it was not killed: {run.said}"]
    faults += openable(made, made.serial, ISSUED)
    if entries(made, kind) == before:
        again = made.run(*arguments, world=world)
        faults += [again.said] if again.status else []
    else:  # its entry was durable: the next command catches up
        made.run("--home", str(made.home), "batch", "retry", batch(made))
    if entries(made, kind) != before + 1:
        faults.append(f"{entries(made, kind) - before} entries {kind} were made")
    faults += settled(made, made.serial)
    return [f"{arguments[2]} killed before {stop}: {fault}" for fault in faults]


def batch(made: Station) -> str:
    """The batch that issued the first token."""
    return str(made.rows("SELECT id FROM batches ORDER BY created")[0]["id"])


def chosen(points: Sequence[Point]) -> Iterator[Point]:
    """Each write of the token, and a sample of the writes of the disk."""
    writes = [point for point in points if point.writes]
    token = [point for point in writes if point.is_apdu]
    yield from token
    yield from [point for point in writes if not point.is_apdu][::EVERY]


@pytest.mark.parametrize(
    ("what", "purpose", "kind"),
    [("unblock", "help-desk", "unblocked"), ("rotate", "break-glass", "rotated")],
)
def test_killed_while_a_token_is_told_again(
    issued: Station, what: str, purpose: str, kind: str
) -> None:
    """At each write of the token and many of the disk: it finishes, and nothing is lost."""
    arguments = command(issued, what, purpose)
    undisturbed = issued.run(*arguments)
    assert undisturbed.status == 0, undisturbed.said
    assert list(settled(issued, issued.serial)) == []
    all_of(
        chosen(undisturbed.points),
        lambda stop: trial(issued, arguments, kind, stop),
        what,
    )


def replaced(made: Station, old: int, stop: Point | None) -> tuple[int, list[str], Sequence[Point]]:
    """Replace a token by a fresh one, killed at a point; the new one, what is wrong, the points."""
    new = next(_serials)
    made.control.replace(0, serial=new)
    made.control.set_touch(new, "auto")
    factory = made.control.snapshot(new)
    arguments = ("--home", str(made.home), "replace", str(old), "--reason", "damaged")
    options = ("--operator", "tester", "--wait", "0")
    run = made.run(*arguments, *options, stop=stop)
    faults = [f"token {new}: {fault}" for fault in openable(made, new, factory)]
    points = run.points
    if run.killed:
        run = made.run(*arguments, *options)
    finished = run.status == 0 or "was replaced by entry" in run.stderr
    faults += [] if finished else [run.said]
    if finished and run.status:
        made.run("--home", str(made.home), "batch", "retry", batch(made))
    faults += settled(made, new)
    home = Home.open(made.home)
    for token, state, standing in (
        (old, State.REVOKED, Standing.REVOKED),
        (new, State.HELD, Standing.GOOD),
    ):
        index = home.manifest.found_by(f"serial {token}")[0]
        entry = home.manifest.entry(index)
        life = home.manifest.life(entry["token"])
        if life is None or life.state is not state:
            faults.append(f"token {token} is {life}")
        (step,) = [one for one in entry["steps"] if one["id"] == "piv/9a/certificate"]
        status = home.issuer("local").status(step["facts"]["serialNumber"], home.clock())
        if status.standing is not standing:
            faults.append(f"the certificate of token {token} is {status.standing}")
    home.ledger.close()
    home.manifest.close()
    return new, faults, points


def test_killed_while_a_token_is_replaced(issued: Station) -> None:
    """In all that comes before and after the making of the new token, and at times within it."""
    old, faults, points = replaced(issued, issued.serial, None)
    assert faults == []
    commands = [number for number, point in enumerate(points) if point.is_apdu]
    outside = [*points[: commands[0]], *points[commands[-1] :]]
    stops = [point for point in outside if point.writes][::EVERY]
    stops += points[commands[0] : commands[-1] : EVERY_OF_ISSUE]

    def once(stop: Point) -> list[str]:
        nonlocal old
        old, faults, _ = replaced(issued, old, stop)
        return [f"replace killed before {stop}: {fault}" for fault in faults]

    all_of(stops, once, "replace")
