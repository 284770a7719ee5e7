"""SIGKILL before every command to the token and every transaction of the ledger, on 5.7.4."""

from __future__ import annotations

import pytest

from tests.crash.points import Point
from tests.crash.recovery import all_of, killed, worth_it
from tests.crash.station import Station

PARTS = 6


def is_here(point: Point) -> bool:
    """What this file covers; test_kill_disk.py has the rest."""
    return point.is_apdu or point.name == "commit"


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_command_or_commit_it_finishes(
    single: Station, points: tuple[Point, ...], part: int
) -> None:
    """Run again, it issues the token once, and nobody lost a secret in between or at the end."""
    here = [point for point in worth_it(points) if is_here(point)]
    all_of(here[part::PARTS], lambda point: killed(single, [point]), "token and ledger")


def test_points_are_those_of_the_standard_profile(points: tuple[Point, ...]) -> None:
    """Every step's write is among the points: nothing is tried in the tests above by default."""
    names = {point.name for point in points}
    assert names >= {
        "apdu 00fa0805",  # tries
        "apdu 00240080",  # PIN
        "apdu 00240081",  # PUK
        "apdu 00ffffff",  # management key
        "apdu 00db3fff",  # objects and certificate
        "apdu 0047009a",  # key
        "apdu 00010100",  # OTP slot 1
        "apdu 00010300",  # OTP slot 2
        "apdu 80108000 ctap-6",  # FIDO2 PIN
        "apdu 90108000 ctap-1",  # credential
        "apdu 80108000 ctap-d",  # forced change
        "commit",
        "replace .checkpoint.new checkpoint",
    }
    assert sum(point.name == "commit" for point in points) >= 5  # promised, in turn, and issued
