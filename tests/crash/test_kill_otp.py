"""SIGKILL at every command to the OTP applet and every transaction, over pcscd.

The kinds of slot that the standard profile has not: HOTP, a static password, NDEF.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.points import Point
from tests.crash.recovery import all_of, worth_it
from tests.crash.station import Station, station
from tokenprov.model import Purpose, SecretKind
from tokenprov.record.manifest import verify_manifest
from tokenprov.sim.applets.otp_frame import SlotConfig
from tokenprov.sim.applets.otp_typing import scan_codes

PROFILE = """name = "otp-kinds"
description = "Both slots and NDEF"

[otp.slot1]
kind = "hotp"
replace-factory = true

[otp.slot2]
kind = "static-password"
layout = "us"
characters = "abcdefghijklmnopqrstuvwxyz0123456789"

[otp.ndef]
slot = 1
uri = "https://otp.example.test/#"
"""
NAMES = {"otp/1/seed", "otp/1/access-code", "otp/2/password", "otp/2/access-code"}
CUSTODIANS = {
    SecretKind.HOTP_SEED: Purpose.AUTHENTICATION_SERVER,
    SecretKind.STATIC_PASSWORD: Purpose.HELP_DESK,
    SecretKind.OTP_ACCESS_CODE: Purpose.TOKEN_ADMINISTRATION,
}


@pytest.fixture(scope="module")
def otp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station with one token and that profile."""
    folder = tmp_path_factory.mktemp("station")
    profile = folder / "otp-kinds.toml"
    profile.write_text(PROFILE, encoding="utf-8")
    with station(folder, profile=profile) as made:
        yield made


def held(made: Station, factory: str) -> dict[str, bytes]:
    """What the token's slots hold by now that is not the factory's, by the names in escrow."""
    found = {}
    slots = made.control.snapshot(made.serial)["applets"]["otp"]["slots"]
    for number, frame in enumerate(slots, start=1):
        if not frame or frame == factory:
            continue
        slot = SlotConfig.parse(bytes.fromhex(frame))
        found[f"otp/{number}/access-code"] = slot.access
        if number == 1:
            found["otp/1/seed"] = slot.secret20
        else:
            found["otp/2/password"] = scan_codes(slot.fixed + slot.uid + slot.key).encode()
    return found


def lost(made: Station, factory: str) -> list[str]:
    """What the token holds and a custodian or break-glass cannot open."""
    sealed = made.sealed(made.serial)
    faults = []
    for name, value in held(made, factory).items():
        openers = {
            Purpose(one.context.purpose): one.context.kind
            for one in sealed
            if one.context.name == name and one.value == value
        }
        kinds = set(openers.values())
        if len(kinds) != 1 or set(openers) != {Purpose.BREAK_GLASS, CUSTODIANS[kinds.pop()]}:
            faults.append(f"{name} is opened by {sorted(openers)}")
    return faults


def killed(made: Station, stop: Point) -> list[str]:
    """Kill the command there, look, let it finish, and look again."""
    made.fresh()
    factory = made.control.snapshot(made.serial)["applets"]["otp"]["slots"][0]
    first = made.issue(stop=stop)
    faults = [] if first.killed else [f"it was not killed: {first.said}"]
    faults += lost(made, factory)
    again = made.issue()
    if again.status != 0:
        faults.append(again.said)
    if set(held(made, factory)) != NAMES:
        faults.append(f"the token holds {sorted(held(made, factory))}")
    faults += lost(made, factory)
    faults += [str(one) for one in verify_manifest(made.home / "manifest").findings]
    if [row["state"] for row in made.rows("SELECT state FROM orders")] != ["issued"]:
        faults.append("the order is not issued")
    if made.control.snapshot(made.serial)["applets"]["otp"]["ndef"][0] == "":
        faults.append("NDEF is not set")
    return [f"killed before {stop}: {fault}" for fault in faults]


def test_killed_at_any_command_it_finishes(otp: Station) -> None:
    """Run again, it issues the token once, and every custodian can open what it ever held."""
    otp.fresh()
    undisturbed = otp.issue()
    assert undisturbed.status == 0, undisturbed.said
    names = [point.name for point in undisturbed.points]
    for command, times in {"apdu 00010100": 3, "apdu 00010300": 3, "apdu 00010800": 1}.items():
        assert names.count(command) == times
    here = [p for p in worth_it(undisturbed.points, every=8) if p.is_apdu or p.name == "commit"]
    all_of(here, lambda point: killed(otp, point), "OTP")
