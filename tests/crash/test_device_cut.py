"""Device configuration, lock code and secure channel keys cut off at every command that writes.

In this process, with the station's own ledger and escrow on disk; the token loses its power each
time. What the disk does is test_kill_disk.py's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.in_process import Cut, Desk
from tokenprov.model import Purpose

PROFILE = """
[secure-channel]
protocol = "{protocol}"
set-keys = true
[device]
usb = ["otp", "piv", "fido2"]
nfc = []
challenge-response-timeout = 30
lock-code = true
{restricted}
[otp.slot2]
kind = "hmac-sha1"
"""
RESTRICTED = "nfc-restricted = true"
WRITES = {0x1C, 0xD8, 0x01, 0x82}  # device configuration, PUT KEY, OTP, a channel that opens
SAMPLE = 16  # of the commands that read, every sixteenth
BEFORE, AFTER = False, True  # the command at which it is cut off was carried out
FACTORY_SET = {255: "404142434445464748494a4b4c4d4e4f" * 3}
CASES = (
    ("yubikey-5.7.4", "scp03", RESTRICTED, AFTER),
    ("yubikey-5.7.4", "scp11b", "", AFTER),
    ("yubikey-5.4.3", "scp03", "", BEFORE),
)


def lost(desk: Desk) -> Iterator[str]:
    """What the token holds now and the custodians cannot open from the ledger as it lies there."""
    state = desk.token.dump()["applets"]
    sealed = desk.sealed(Purpose.TOKEN_ADMINISTRATION)
    code = state["management"]["lock_code"]
    if code and code != sealed.get("device/lock-code", b"").hex():
        yield "the lock code is lost"
    sets = {one["kvn"]: one["keys"] for one in state["securitydomain"]["sets"]}
    if sets not in (FACTORY_SET, {2: sealed.get("secure-channel/scp03-keys", b"").hex()}):
        yield "the SCP03 keys are lost"
    if any(one["attempts"] < 32 for one in state["securitydomain"]["sets"]):
        yield "tries of the SCP03 keys were spent"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[3]}")
def test_cut_at_any_write_it_finishes(tmp_path: Path, case: tuple[str, str, str, bool]) -> None:
    """Run again it comes to the same end, with no secret lost in between or at the end."""
    model, protocol, restricted, carried_out = case
    profile = PROFILE.format(protocol=protocol, restricted=restricted)
    undisturbed = Desk(tmp_path / "undisturbed", model)
    wanted = [(s["id"], s["state"]) for s in undisturbed.run(profile)["steps"]]
    writing = {number for number, apdu in enumerate(undisturbed.commands) if apdu[1] in WRITES}
    assert len(writing) >= 5
    points = sorted(writing | set(range(0, len(undisturbed.commands), SAMPLE)))
    faults = []
    for number in points:
        desk = undisturbed.anew(tmp_path / f"{number}")
        with contextlib.suppress(Cut):
            desk.run(profile, cut=(number, carried_out))
            faults.append(f"{number}: it was not cut off")
        faults += [f"cut at {number}: {fault}" for fault in lost(desk)]
        desk.token.plug()  # the power is back
        entry = desk.run(profile)
        if [(step["id"], step["state"]) for step in entry["steps"]] != wanted:
            faults.append(f"cut at {number}: it ended otherwise")
        faults += [f"cut at {number}, then finished: {fault}" for fault in lost(desk)]
        if not desk.token.dump()["applets"]["management"]["lock_code"]:
            faults.append(f"cut at {number}: there is no lock code")
    print(f"{model}: {len(points)} points, {len(faults)} faults")
    assert not faults
