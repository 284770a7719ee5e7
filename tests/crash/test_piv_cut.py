"""The PIV part of a profile cut off before and after every command that writes, then finished.

In this process, with the station's own ledger and escrow on disk; what the disk does is
test_kill_disk.py's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from yubikit.core import Tlv

from tests.in_process import Cut, Desk
from tokenprov.model import Purpose

PROFILE = """
[piv]
management-key = { pin-protected = true }
[[piv.keys]]
slot = "9c"
algorithm = "eccp256"
[piv.keys.certificate]
usages = ["email-protection"]
[[piv.keys]]
slot = "82"
algorithm = "eccp256"
origin = "escrowed"
[piv.keys.certificate]
usages = ["email-protection"]
[[piv.objects]]
id = "5fc122"
text = "{holder.id}"
"""
PRINTED = """
[piv]
management-key = { touch = true }
[piv.printed-information]
"""
WRITES = {0x24, 0x47, 0xDB, 0xFA, 0xFE, 0xFF}  # SP 800-73-4 part 2, 3.2 and 3.3; the maker's
FACTORY = {
    "piv/pin": b"123456",
    "piv/puk": b"12345678",
    "piv/management-key": bytes.fromhex("0102030405060708" * 3),
}
SAMPLE = 32  # of the commands that read, every thirty-second
BEFORE, AFTER = False, True  # the command at which it is cut off was carried out
CASES = (
    ("yubikey-5.7.4", PROFILE, AFTER),
    ("yubikey-5.7.4-fips", PRINTED, BEFORE),
    ("yubikey-5.2.7", PROFILE, BEFORE),
    ("yubikey-5.2.7", PROFILE, AFTER),
    ("yubikey-5.2.7", PRINTED, AFTER),
)


def lost(desk: Desk) -> Iterator[str]:
    """What the token holds now and the custodians cannot open from the ledger as it lies there."""
    state = desk.token.dump()["applets"]["piv"]
    held = {
        "piv/pin": bytes.fromhex(state["pin"]["value"]).rstrip(b"\xff"),
        "piv/puk": bytes.fromhex(state["puk"]["value"]).rstrip(b"\xff"),
        "piv/management-key": bytes.fromhex(state["management_key"]["key"]),
    }
    held = {name: value for name, value in held.items() if value != FACTORY[name]}
    held |= {
        f"piv/{slot}/key": bytes.fromhex(key["private"])
        for slot, key in state["keys"].items()
        if key["origin"] == "IMPORTED" and slot != "f9"  # the maker's own
    }
    sealed = desk.sealed(Purpose.BREAK_GLASS)
    for name, value in held.items():
        if not same(name, value, sealed.get(name)):
            yield f"{name} is lost"
    printed = state["objects"].get("5fc109", "")
    if printed.startswith("88"):
        copy = Tlv.parse_dict(Tlv.unpack(0x88, bytes.fromhex(printed)))[0x89]
        if copy != sealed.get("piv/management-key"):
            yield "the copy of the management key is not the sealed one"
    for name in ("pin", "puk"):
        if state[name]["left"] < min(3, state[name]["tries"]):
            yield f"{state[name]['left']} tries of the {name} are left"


def is_write(apdu: bytes) -> bool:
    """Whether a command writes in the PIV application; OpenPGP reads with a 47 of another P1."""
    return apdu[1] in WRITES and not (apdu[1] == 0x47 and apdu[2])


def same(name: str, held: bytes, sealed: bytes | None) -> bool:
    """Whether a value in the token is the sealed one; keys are compared as keys."""
    if sealed is None or not name.endswith("/key"):
        return held == sealed
    one, other = (load_der_private_key(value, None) for value in (held, sealed))
    return one.public_key() == other.public_key()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{'after' * case[2]}")
def test_cut_at_any_write_it_finishes(tmp_path: Path, case: tuple[str, str, bool]) -> None:
    """Run again it comes to the same end, with no secret lost in between or at the end."""
    model, profile, carried_out = case
    undisturbed = Desk(tmp_path / "undisturbed", model)
    wanted = [(s["id"], s["state"]) for s in undisturbed.run(profile)["steps"]]
    points = [
        number
        for number, apdu in enumerate(undisturbed.commands)
        if is_write(apdu) or (not carried_out and number % SAMPLE == 0)
    ]
    assert sum(is_write(undisturbed.commands[number]) for number in points) >= 7
    faults = []
    for number in points:
        desk = undisturbed.anew(tmp_path / f"{number}")
        with contextlib.suppress(Cut):
            desk.run(profile, cut=(number, carried_out))
            faults.append(f"{number}: it was not cut off")
        faults += [f"cut at {number}: {fault}" for fault in lost(desk)]
        entry = desk.run(profile)
        if [(step["id"], step["state"]) for step in entry["steps"]] != wanted:
            faults.append(f"cut at {number}: it ended otherwise")
        faults += [f"cut at {number}, then finished: {fault}" for fault in lost(desk)]
        flag = desk.token.dump()["applets"]["piv"]["objects"].get("5fff00")
        if flag != ("8003810102" if profile is PROFILE else None):
            faults.append(f"cut at {number}: the flag is {flag}")
    print(f"{model}: {len(points)} points, {len(faults)} faults")
    assert not faults
