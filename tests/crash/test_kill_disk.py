"""SIGKILL at every write to the disk that is not the ledger's, on 5.7.4."""

from __future__ import annotations

import pytest

from tests.crash.points import Point
from tests.crash.recovery import all_of, killed
from tests.crash.station import Station

PARTS = 6
MAY_COME_BACK = {"lock", "manifest"}  # the lock's process id, and `pending` in the manifest


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_write_to_the_disk_it_finishes(
    single: Station, points: tuple[Point, ...], part: int
) -> None:
    """Run again, it issues the token once, and nobody lost a secret in between or at the end."""
    here = [point for point in points if not point.is_apdu and point.name != "commit"]
    all_of(here[part::PARTS], lambda point: killed(single, [point]), "disk")


def test_nothing_waits_in_memory_when_the_token_is_told(points: tuple[Point, ...]) -> None:
    """What a power cut would take is synced before each write to the token, and before the end."""
    told = [point for point in points if point.is_apdu and point.writes]
    assert len(told) > 18
    late = {str(point): point.unsynced for point in (*told, points[-1])}
    assert not {name: left for name, left in late.items() if set(left) - MAY_COME_BACK}


def test_what_waits_in_memory_is_seen(points: tuple[Point, ...]) -> None:
    """The test above can fail: between a write and its sync the file counts as unsynced."""
    key = next(point for point in points if point.name.startswith("link ") and "key" in point.name)
    after_write = points[points.index(key) - 1]
    assert after_write.name == "fsync"
    assert any(name.endswith(".key.new") for name in after_write.unsynced)
