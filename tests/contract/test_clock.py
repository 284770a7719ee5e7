"""A station's clock against what is on the record: times do not go back unsaid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

import pytest

from tests.stations import Station
from tests.token_under_test import TokenUnderTest
from tokenprov import home
from tokenprov.record.manifest import verify_manifest

YEAR = timedelta(days=365)
REASON = ("--reason", "the battery of its clock was empty")

SetClock = Callable[[timedelta], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Puts the program's clock so far off."""

    def put(off: timedelta) -> None:
        class Clock(datetime):
            """The time of day, and so much more."""

            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no subclass is given back
                return datetime.now(tz) + off

        monkeypatch.setattr(home, "datetime", Clock)

    return put


def test_a_clock_that_is_behind(
    station: Station, token: TokenUnderTest, set_clock: SetClock
) -> None:
    """Nothing is begun with the token until it is right again; then the token is issued."""
    before = token.state()
    set_clock(-YEAR)
    said = station.tell(*station.batch())
    assert said.code == 3
    assert "the station's clock says" in said.err
    assert "tokenprov manifest clock" in said.err
    assert token.state() == before
    assert station.entries() == []
    set_clock(timedelta())
    assert station.tell(*station.batch()).code == 0
    assert station.tell("manifest", "clock", *REASON).code == 2  # nothing is behind


def test_a_clock_that_was_ahead(station: Station, set_clock: SetClock) -> None:
    """The correction is on the record, the log goes on from it, and all of it verifies."""
    packing = station.home.with_name("packing.csv")
    packing.write_text("1001\n")
    set_clock(YEAR)
    assert station.tell("stock", "import", packing).code == 0
    set_clock(timedelta())
    packing.write_text("1002\n")
    refused = station.tell("stock", "import", packing)
    assert refused.code == 3
    corrected = station.tell("manifest", "clock", *REASON)
    assert corrected.code == 0, corrected.err
    assert station.tell("stock", "import", packing).code == 0
    times = [one["time"] for one in station.tell("manifest", "show", "--json").document]
    (entry,) = station.entries("clock-corrected")
    assert entry["ahead"] == max(times)
    assert entry["reason"] == REASON[1]
    report = verify_manifest(station.home / "manifest")
    assert report.holds, report.findings
    assert station.tell("manifest", "show").code == 0
