"""SIGKILL around a request to another authority: nothing it issued goes unnoticed.

The authority is a program that issues anew each time it is asked, and notes what it issued. After
the kill the same command finishes, and each certificate that was issued beside the one on the token
is told of by a doubt in the token's entry.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests import authority_program
from tests.crash.points import Point
from tests.crash.recovery import all_of
from tests.crash.station import Station, station
from tests.issued import openssl

WHILE_IT_ISSUES = (0.02, 0.06, 0.1, 0.15, 0.25)  # seconds after the request was on the disk
PROFILE = """
name = "elsewhere"

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"

[piv.keys.certificate]
issuer = "command:elsewhere"
usages = ["client-auth"]
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the authority."""
    folder = tmp_path_factory.mktemp("authority")
    make = (
        "req -x509 -newkey rsa:2048 -nodes -days 9 -keyout ca.key -out ca.pem -subj /CN=Elsewhere"
    )
    openssl(*make.split(), folder=folder)
    return folder


@pytest.fixture(scope="module")
def single(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station with one token, whose certificates come from there."""
    folder = tmp_path_factory.mktemp("station")
    (folder / "elsewhere.toml").write_text(PROFILE)
    with station(folder, profile=folder / "elsewhere.toml") as made:
        issuers = made.folder / "template" / "issuers"
        issuers.mkdir(exist_ok=True)
        program = [sys.executable, "-I", "-S", authority_program.__file__, str(authority)]
        (issuers / "elsewhere.toml").write_text(
            f'uri = "command:elsewhere"\nprogram = {json.dumps(program)}\n'
        )
        yield made


@pytest.fixture(scope="module")
def around(single: Station) -> Sequence[Point]:
    """The points from the request's first write to the certificate's on the token."""
    single.fresh()
    run = single.issue()
    assert run.status == 0, run.said
    points = run.points
    asked = [index for index, point in enumerate(points) if is_of_the_request(point)]
    assert len(asked) == 4  # two replacements: the sending, and the answer
    return points[asked[0] : asked[-1] + 4]


def is_of_the_request(point: Point) -> bool:
    """Whether the record of the request is about to change."""
    return point.name.startswith(("open ", "replace ")) and "%2F" in point.name


def unnoticed(single: Station, authority: Path) -> list[str]:
    """Certificates that were issued, are not on the token, and no doubt tells of."""
    shown = single.run("--home", str(single.home), "manifest", "show", "--json")
    entries = [one for one in json.loads(shown.stdout) if one["kind"] == "issued"]
    if len(entries) != 1:
        return [f"{len(entries)} entries issue a token"]
    (step,) = [one for one in entries[0]["steps"] if one["id"] == "piv/9a/certificate"]
    issued = [line.split()[1] for line in (authority / "issued").read_text().splitlines()]
    others = [one for one in issued if int(one, 16) != int(step["facts"]["serialNumber"], 16)]
    doubts = step["facts"].get("doubts", [])
    if len(others) == len(issued):
        return [f"the certificate on the token is none of {issued}"]
    return (
        [f"{len(others)} more were issued, and {doubts} is said"]
        if len(others) > len(doubts)
        else []
    )


def trial(single: Station, authority: Path, stop: Point, late: float = 0) -> list[str]:
    """Kill there, finish, and look on both sides."""
    single.fresh()
    (authority / "issued").write_text("")
    killed = single.issue(stop=stop, late=late)
    run = single.issue()
    faults = [] if killed.killed or late else [f"it was not killed: {killed.said}"]
    faults += unnoticed(single, authority) if run.status == 0 else [f"again: {run.said}"]
    return [f"killed before {stop}: {fault}" for fault in faults]


def test_killed_around_the_request_nothing_goes_unnoticed(
    single: Station, authority: Path, around: Sequence[Point]
) -> None:
    """Before it was on the disk, before it went out, before its answer was, and after."""
    here = [point for point in around if point.writes]
    all_of(here, lambda point: trial(single, authority, point), "issuer")


def test_killed_while_the_authority_issues_nothing_goes_unnoticed(
    single: Station, authority: Path, around: Sequence[Point]
) -> None:
    """The request is on the disk, and what came of it the program never hears."""
    (sent, _) = [
        point for point in around if point.name.startswith("replace ") and is_of_the_request(point)
    ]
    for late in WHILE_IT_ISSUES:
        assert trial(single, authority, sent, late) == []


def test_the_judge_sees_what_goes_unnoticed(
    single: Station, authority: Path, around: Sequence[Point]
) -> None:
    """The judgement can fail: a certificate more at the authority is found."""
    single.fresh()
    (authority / "issued").write_text("00 0badcafe\n")
    assert single.issue().status == 0
    assert unnoticed(single, authority) == ["1 more were issued, and [] is said"]
