"""Batches on a real USB bus: a Security Key, interfaces that are switched, keys that type."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from fido2.hid import CtapHidDevice
from yubikit.core import TRANSPORT
from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession

from tests.guest.tests.bench import (
    KEY,
    OLDER_KEY,
    SECURITY_KEY,
    Bench,
    Operator,
    ended,
    program,
    shell,
    started,
    wait_for,
)
from tests.stations import Station, make_station
from tokenprov.cli import main
from tokenprov.device.hid import FidoNode
from tokenprov.errors import TokenGone
from tokenprov.sim.attestation import ROOTS_FOLDER

ANNOUNCED = ("--without-serial", "1")
PROFILE = """name = "interfaces"
description = "What is on over USB, and a PIN"
[device]
usb = {usb}
[fido2]
pin = {{ length = 8 }}
"""
TERMINAL = 4


class Hands(io.StringIO):
    """Hears that a token is to be put in again, and has that operator do it."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self._operator = operator

    def write(self, text: str) -> int:
        """Do it beside the program."""
        if '"event": "ReinsertWanted"' in text:
            self._operator.put_in_again()
        return super().write(text)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    """A station that trusts the tokens here."""
    folder = tmp_path_factory.mktemp("batch")
    return make_station(folder, {ROOTS_FOLDER: os.environ[ROOTS_FOLDER]})


@pytest.fixture(scope="module")
def only(bench: Bench, request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of one token with none beside it."""
    others = {KEY, SECURITY_KEY, OLDER_KEY} - {request.param}
    bench.pull(*others)
    yield request.param
    bench.insert(*others)


@pytest.fixture(autouse=True)
def fresh(bench: Bench, only: int) -> None:
    """It is factory-fresh."""
    bench.renew(only)


@pytest.mark.parametrize("only", [SECURITY_KEY], indirect=True)
def test_a_security_key_is_issued_and_known_again(
    station: Station, bench: Bench, only: int
) -> None:
    """PIN, minimum length and credential by HID alone; given back by its mark it is a new token."""
    said = station.tell(*station.batch(profile="security-key", name="alone"), *ANNOUNCED)
    assert said.code == 0, said.err
    mark = str(said.only("TokenIssued")["label"])
    (entry,) = [one for one in station.entries() if one["token"]["mark"] == mark]
    assert (entry["token"]["serial"], entry["token"]["grade"]) == (None, "asserted")
    state = bench.control.snapshot(only)["applets"]["fido2"]
    assert (state["min_pin_length"], len(state["credentials"])) == (6, 1)

    bench.pull(only)
    bench.insert(only)
    again = station.tell(*station.batch(profile="security-key", holders=2))
    assert again.only("TokenReady")["label"] == mark

    hands = Hands(Operator(bench, only))
    back = station.tell("return", mark, "--reason", "a test", "--json", listener=hands)
    assert back.code == 0, back.err
    assert back.document["state"] == "unmarked"
    assert [one["reset"] for one in station.entries("wiped")] == [["fido2"]]
    assert not bench.control.snapshot(only)["applets"]["fido2"]["credentials"]
    new = station.tell(*station.batch(profile="security-key", holders=2), *ANNOUNCED)
    assert new.only("TokenIssued")["label"] != mark


@pytest.mark.parametrize("only", [KEY], indirect=True)
@pytest.mark.parametrize(
    ("at_first", "usb", "product"),
    [
        ((), ["otp", "fido2", "u2f"], 0x0403),
        (("otp", "fido2", "u2f"), ["fido2", "u2f"], 0x0402),
        (("otp", "fido2", "u2f"), ["otp", "fido2", "u2f", "piv", "oath"], 0x0407),
    ],
    ids=["its reader goes", "over HID", "it gets a reader"],
)
def test_interfaces_are_switched_in_a_batch(
    station: Station,
    bench: Bench,
    only: int,
    at_first: tuple[str, ...],
    usb: list[str],
    product: int,
) -> None:
    """The token goes on with its order where it comes back, and nothing is said to have failed."""
    if at_first:
        switch(bench, CAPABILITY.OTP | CAPABILITY.FIDO2 | CAPABILITY.U2F)
    profile = station.home.with_name(f"interfaces-{product:04x}.toml")
    profile.write_text(PROFILE.format(usb=json.dumps(usb)))
    name = f"interfaces-{product:04x}"
    said = station.tell(*station.batch(profile=profile, name=name), "--wait", "20")
    assert said.code == 0, said.err
    assert said.only("TokenIssued")["label"] == str(bench.serial(KEY))
    assert not {"OrderFailed", "TokenPassedOver"} & {one["event"] for one in said.events}
    assert [one["resumed"] for one in said.events if one["event"] == "OrderStarted"] == [
        False,
        True,
    ]
    assert bench.usb(KEY).product == product
    assert station.entry_of(str(bench.serial(KEY)))["token"]["serial"] == str(bench.serial(KEY))


def switch(bench: Bench, enabled: CAPABILITY) -> None:
    """Switch interfaces by the maker's library, over the FIDO node."""
    usb = bench.usb(KEY)
    node: CtapHidDevice = FidoNode(usb)
    config = DeviceConfig({TRANSPORT.USB: enabled}, None, None, None)
    with suppress(TokenGone):  # it may take its answer with it
        ManagementSession(node).write_device_config(config, reboot=True)
    node.close()
    wait_for(lambda: bench.usb(KEY).number != usb.number)


def on_terminal(folder: Path, command: list[str | Path]) -> None:
    """As a shell there: take a line, run the command, take another line."""
    os.setsid()
    terminal = os.open(f"/dev/tty{TERMINAL}", os.O_RDWR)  # it controls the session from now on
    for stream in range(3):
        os.dup2(terminal, stream)
    os.chdir(folder)
    with Path("before").open("wb") as before:
        subprocess.run(["head", "-n", "1"], stdout=before, check=True)
    with Path("said").open("wb") as said, Path("events").open("wb") as events:
        streams = (terminal, said.fileno(), events.fileno())
        ended(started(program(main, "tokenprov", *command), streams))
    with Path("after").open("wb") as after:
        subprocess.run(["head", "-n", "1"], stdout=after, check=True)


@pytest.mark.parametrize("only", [KEY], indirect=True)
def test_what_a_touched_slot_types_goes_nowhere(
    station: Station, bench: Bench, only: int, tmp_path: Path
) -> None:
    """Typed at a prompt for a touch it is no badge, and nothing that a shell finds afterwards."""
    serial = bench.serial(only)
    bench.control.set_touch(serial, "never", patience=120)
    roster = station.roster(name="typing")
    roster.write_text(roster.read_text().replace("E1,", "E9,"))  # a batch of its own
    command = ["--home", station.home, "batch", "run", roster]
    command += ["--profile", "security-key", "--scan", "--json"]
    before, after, events = (tmp_path / name for name in ("before", "after", "events"))
    shell(f"chvt {TERMINAL}")
    child = started(partial(on_terminal, tmp_path, command))
    try:
        wait_for(before.exists)
        begun = time.monotonic()
        typed = bench.control.type_slot(serial, 1)
        wait_for(lambda: before.read_text() == typed)
        takes = time.monotonic() - begun
        wait_for(lambda: events.exists() and "TouchWanted" in events.read_text())
        bench.control.type_slot(serial, 1)
        time.sleep(2 * takes)  # nobody sees that it is typed
        while not after.exists():
            bench.control.press(serial)
            assert os.waitpid(child, os.WNOHANG) == (0, 0), events.read_text()
        typed = bench.control.type_slot(serial, 1)
        wait_for(lambda: after.read_text() == typed)
        assert ended(child) == 0
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        shell("chvt 2")
    told = [json.loads(line)["event"] for line in events.read_text().splitlines()]
    assert "TokenIssued" in told
    assert not {"ScanIgnored", "HolderNamed", "KeyboardFree"} & set(told), told
