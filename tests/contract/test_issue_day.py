"""The day of issue is that on which the work on a token began, whatever happens in between."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from yubikit.piv import PivSession

from tests.in_process import Cut, Desk
from tokenprov.home import Home
from tokenprov.profile import Profile, load_profile, parse_profile

PROFILE = """[piv]
chuid = false
ccc = false
[[piv.objects]]
id = "5fc122"
text = "first {date}"
[[piv.objects]]
id = "5fc123"
text = "{token.serial} {date}"
"""
SERIAL = 32_777_001


class ClockedDesk(Desk):
    """A desk whose clock the test sets."""

    time = datetime(2026, 12, 31, 23, 59, 50, tzinfo=UTC)

    @property
    def home(self) -> Home:
        """The home with that clock."""
        return dataclasses.replace(super().home, clock=lambda: self.time)


@pytest.mark.parametrize("late", [False, True], ids=["first promises", "last object"])
def test_a_run_over_midnight_keeps_its_day(tmp_path: Path, late: bool) -> None:
    """Cut off on one day and taken up on the next, a token gets the day on which it was begun."""
    desk = ClockedDesk(tmp_path / "whole", "yubikey-5.7.4", serial=SERIAL)
    assert desk.run(PROFILE)
    writes = [number for number, apdu in enumerate(desk.commands) if apdu[1] == 0xDB]  # PUT DATA
    assert len(writes) == 2
    cut = (writes[1] if late else writes[0] - 1, False)

    desk = ClockedDesk(tmp_path / "cut", "yubikey-5.7.4", serial=SERIAL)
    with pytest.raises(Cut):
        desk.run(PROFILE, cut=cut)
    desk.time += timedelta(minutes=1)
    entry = desk.run(PROFILE)
    assert {step["state"] for step in entry["steps"]} == {"match"}
    assert entry["time"].startswith("2027-01-01")
    piv = PivSession(desk.connect())
    assert piv.get_object(0x5FC122).decode() == "first 2026-12-31"
    assert piv.get_object(0x5FC123).decode() == f"{SERIAL} 2026-12-31"


def test_another_token_on_the_next_day_has_the_next_day(tmp_path: Path) -> None:
    """The day is a token's own: one that is begun later in the same station has a later one."""
    desk = ClockedDesk(tmp_path, "yubikey-5.7.4", serial=SERIAL)
    desk.time += timedelta(days=1)
    assert desk.run(PROFILE)
    assert PivSession(desk.connect()).get_object(0x5FC122).decode() == "first 2027-01-01"


def test_a_batch_keeps_the_resolved_profile(tmp_path: Path) -> None:
    """The ledger has the whole profile, whatever becomes of the one that it extends."""
    desk = Desk(tmp_path, "yubikey-5.7.4", serial=SERIAL)
    desk.run('extends = "security-key"\n')
    home = desk.home
    (batch,) = home.ledger.batches()
    kept = Profile.model_validate_json(batch.profile_source, by_alias=True, by_name=False)
    assert kept.digest == batch.profile_digest
    assert kept == parse_profile(b'name = "test"\nextends = "security-key"\n', "test")
    assert kept.fido2 == load_profile("security-key").fido2
    home.ledger.close()
