"""A station with four tokens on a disk of its own, for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.station import station
from tests.faults.catalogue import TOKENS, Bench
from tests.faults.disk import Disk, with_disk


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two holders, each with a primary and a spare."""
    folder = tmp_path_factory.mktemp("disk")
    with station(folder, tokens=TOKENS, holders=2, kit=2, within=with_disk(folder)) as made:
        yield Bench(station=made, disk=Disk(made.folder))
