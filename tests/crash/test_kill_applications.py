"""SIGKILL in a rotation of OpenPGP's, OATH's and YubiHSM Auth's secrets: run again, it finishes.

The token stays in its reader and is rotated again and again. After each trial the maker's libraries
try what is active in escrow: the token takes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import live
from tests.crash.points import Point
from tests.crash.recovery import all_of
from tests.crash.station import Station, station
from tests.crash.test_kill_lifecycle import entries
from tokenprov.model import Purpose
from tokenprov.record.manifest import verify_manifest
from tokenprov.record.rows import EnvelopeState

PROFILE = """name = "applications"
[oath]
password = { length = 20 }
[openpgp]
admin-pin = { retries = 8 }
reset-code = {}
[hsmauth]
"""
NAMES = ("openpgp/admin-pin", "openpgp/reset-code", "hsmauth/management-key", "oath/password")
WHATS = ("openpgp-admin-pin", "openpgp-reset-code", "hsmauth-management-key", "oath-password")
EVERY = 8  # of the disk's writes that are in the sample


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station whose one token is somebody's, by a profile of these."""
    folder = tmp_path_factory.mktemp("applications")
    profile = folder / "applications.toml"
    profile.write_text(PROFILE)
    with station(folder, profile=profile) as made:
        made.fresh()
        run = made.issue()
        assert run.status == 0, run.said
        yield made


def arguments(made: Station) -> tuple[str, ...]:
    """`rotate` of all four, by break-glass."""
    key: Path = made.home / "custodians" / "private" / "break-glass.pem"
    whats = [word for what in WHATS for word in ("--what", what)]
    reason = ("--reason", "a test", "--operator", "tester")
    command = ("rotate", str(made.serial), "--key", str(key), *whats, *reason)
    return ("--home", str(made.home), *command)


def refused(made: Station) -> list[str]:
    """What is active in escrow and the token does not take, or is not there at all."""
    active = {
        one.context.name
        for one in made.sealed(made.serial)
        if (one.context.purpose, one.state) == (Purpose.BREAK_GLASS, EnvelopeState.ACTIVE)
    }
    missing = [f"{name} is not in escrow" for name in NAMES if name not in active]
    return missing + live.refused(made, made.serial, states=[EnvelopeState.ACTIVE])


def test_killed_while_they_are_made_anew(issued: Station) -> None:
    """At each write of the token and some of the disk: nothing is lost, and one entry is made."""
    undisturbed = issued.run(*arguments(issued))
    assert undisturbed.status == 0, undisturbed.said
    assert refused(issued) == []

    def trial(stop: Point) -> list[str]:
        before = entries(issued, "rotated")
        run = issued.run(*arguments(issued), stop=stop)
        # a file of the log has another name when the log is longer: then there is no such point
        faults = [] if run.killed or not stop.is_apdu else [f"it was not killed: {run.said}"]
        if entries(issued, "rotated") == before:
            run = issued.run(*arguments(issued))
            faults += [run.said] if run.status else []
        else:  # its entry was durable: the next command of the desk catches up
            issued.run("--home", str(issued.home), "suspend", "1", "--reason", "a test")
        faults += refused(issued)
        if entries(issued, "rotated") != before + 1:
            faults.append("it is not recorded once")
        faults += map(str, verify_manifest(issued.home / "manifest").findings)
        return [f"killed before {stop}: {fault}" for fault in faults]

    writes = [point for point in undisturbed.points if point.writes]
    disk = [point for point in writes if not point.is_apdu]
    token = [point for point in writes if point.is_apdu]
    all_of([*token, *disk[::EVERY]], trial, "rotate applications")
