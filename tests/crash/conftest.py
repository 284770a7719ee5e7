"""One station on a bench of its own for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.points import Point
from tests.crash.recovery import points_of
from tests.crash.station import Station, station


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station with one token and one order for it."""
    with station(tmp_path_factory.mktemp("station")) as made:
        yield made


@pytest.fixture(scope="module")
def points(single: Station) -> tuple[Point, ...]:
    """The points of the standard profile on firmware 5.7.4."""
    return points_of(single)
