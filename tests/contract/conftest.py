"""Stations and tokens for contract tests.

`token` is what a real token can be too: one factory-fresh token in the one reader, by serial.
`station` is a fresh home that trusts it.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import restore_bench
from tests.stations import Station, make_station
from tests.token_under_test import TokenUnderTest, wire
from tokenprov.sim.bench import VirtualBench

__all__ = ["wire"]

_SERIALS = itertools.count(31_000_001)  # a token has its serial once in a run
MODELS = ("yubikey-5.7.4", "yubikey-5.4.3", "yubikey-5.2.7", "yubikey-5.7.4-fips")


@pytest.fixture(scope="session")
def home_template(shared_bench: VirtualBench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that trusts the shared bench, to be copied."""
    return make_station(tmp_path_factory.mktemp("template"), shared_bench.environment).home


@pytest.fixture
def station(home_template: Path, shared_bench: VirtualBench, tmp_path: Path) -> Station:
    """A fresh station on the shared bench."""
    shutil.copytree(home_template, tmp_path / "station")
    return Station(home=tmp_path / "station", environment=shared_bench.environment)


@pytest.fixture
def one_reader(shared_bench: VirtualBench) -> Iterator[VirtualBench]:
    """The shared bench with one reader; the other one is unplugged for the while."""
    restore_bench(shared_bench)
    shared_bench.control.unplug_reader(1)
    yield shared_bench
    restore_bench(shared_bench)


def fresh_token(bench: VirtualBench, model: str, reader: int = 0) -> TokenUnderTest:
    """Put a factory-fresh token of a model and a serial of its own into a reader."""
    serial = next(_SERIALS)
    bench.control.replace(reader, model=model, serial=serial)
    bench.control.set_touch(serial, "auto")
    line = bench.control.token(serial)
    version = model.split("-")[1].split(".")
    return TokenUnderTest(
        reader=line["reader"],
        serial=str(serial),
        firmware=(int(version[0]), int(version[1]), int(version[2])),
        inside=lambda: bench.control.snapshot(serial),
    )


@pytest.fixture
def token(one_reader: VirtualBench, request: pytest.FixtureRequest) -> TokenUnderTest:
    """A factory-fresh token; of firmware 5.7.4 unless the test asks for a model."""
    return fresh_token(one_reader, getattr(request, "param", MODELS[0]))
