"""What is on the bus and is none of ours: a keyboard, a disk, and a smart card that has no PIV."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.guest.monitor import ask
from tests.guest.tests.bench import KEY, OLDER_KEY, SECURITY_KEY, Bench, shell, wait_for
from tests.stations import Station, make_station
from tokenprov.device.usb import usb_tokens
from tokenprov.doctor import install
from tokenprov.doctor.rules import GROUP
from tokenprov.sim.attestation import ROOTS_FOLDER

MONITOR = Path("/dev/virtio-ports/tokenprov.plug")
DEVICES = Path("/sys/bus/usb/devices")
KEYBOARD, DISK, READER = 4, 5, 6  # ports
CARD = {"backend": "certificates", "cert1": "id", "cert2": "sign", "cert3": "encrypt"}
NO_TOKEN = "this card is neither a YubiKey nor a PIV card"
ORDERS_LEFT = 8  # exit code of a run: it took no token


@pytest.fixture(scope="module")
def plug() -> Iterator[Callable[..., Any]]:
    """Asks QEMU."""
    port = os.open(MONITOR, os.O_RDWR)
    with os.fdopen(port, encoding="utf-8") as lines:
        lines.readline()  # its greeting
        asked = partial(ask, lines, partial(os.write, port))
        asked("qmp_capabilities")
        yield asked


@pytest.fixture(scope="module")
def strangers(bench: Bench, plug: Callable[..., Any]) -> Iterator[Bench]:
    """They are plugged in, beside the tokens."""
    db = f"sql:{Path.cwd() / 'build/guest/card'}"
    plug("device_add", driver="usb-kbd", id="keyboard", bus="usb.0", port=str(KEYBOARD))
    plug("blockdev-add", driver="null-co", size=1 << 20, **{"node-name": "disk"})
    plug("device_add", driver="usb-storage", id="disk", drive="disk", bus="usb.0", port=str(DISK))
    plug("device_add", driver="usb-ccid", id="reader", bus="usb.0", port=str(READER))
    plug("device_add", driver="ccid-card-emulated", id="card", bus="reader.0", db=db, **CARD)
    wait_for(lambda: all(any(DEVICES.glob(f"*-{one}")) for one in (KEYBOARD, DISK, READER)))
    wait_for(lambda: len(shell("opensc-tool -l").split(" Yes ")) == 4)
    shell("udevadm settle")
    yield bench
    for one in ("card", "reader", "disk", "keyboard"):
        plug("device_del", id=one)
    wait_for(lambda: not any(DEVICES.glob(f"*-{READER}")))


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    """A station that trusts the tokens here."""
    folder = tmp_path_factory.mktemp("strangers")
    return make_station(folder, {ROOTS_FOLDER: os.environ[ROOTS_FOLDER]})


def test_they_are_named_or_left_alone(strangers: Bench, station: Station) -> None:
    """The card is said to be none that is known; the rest is not spoken of; doctor is content."""
    listed = station.tell("token", "list", "--json").document
    (card,) = [one for one in listed if one["trouble"]]
    assert "Gemplus" in card["reader"]
    assert card["trouble"].startswith(NO_TOKEN)
    assert sorted(one["serial"] for one in listed if one["serial"]) == sorted(
        str(strangers.serial(port)) for port in (KEY, OLDER_KEY)
    )
    assert len(listed) == 4
    assert len(usb_tokens()) == 3
    said = station.tell("doctor")
    assert said.code == 0, said.out
    assert "3 readers, 3 with a token" in said.out


def test_a_batch_takes_none_of_them(strangers: Bench, station: Station) -> None:
    """Alone on the bus they are passed over, with the reason; nothing is begun or recorded."""
    strangers.pull(KEY, SECURITY_KEY, OLDER_KEY)
    assert usb_tokens() == ()
    said = station.tell(*station.batch(), "--without-serial", "1", "--wait", "5")
    strangers.insert(KEY, SECURITY_KEY, OLDER_KEY)
    assert said.code == ORDERS_LEFT, said.err
    passed_over = said.only("TokenPassedOver")
    assert passed_over["reason"].startswith(NO_TOKEN)
    assert "Gemplus" in passed_over["label"]
    assert not {"TokenReady", "OrderStarted"} & {one["event"] for one in said.events}
    assert said.document["counts"] == {"open": 1, "working": 0, "issued": 0, "failed": 0}
    assert station.entries() == []


def test_the_rules_give_the_reader_alone(strangers: Bench) -> None:
    """A reader is the station's, and kept awake; a keyboard's nodes are nobody's, as before."""
    install()
    keyboard, reader = (next(DEVICES.glob(f"*-{port}")) for port in (KEYBOARD, READER))
    names = [one.name for one in keyboard.glob("*/*/hidraw/hidraw*")]
    names += [f"input/{one.name}" for one in keyboard.glob("*/*/input/input*/event*")]
    assert len(names) == 2
    assert {Path("/dev", name).group() for name in names} <= {"root", "input"}
    assert Path("/dev/bus/usb", *address(reader)).group() == GROUP
    assert (reader / "power/control").read_text() == "on\n"


def address(device: Path) -> tuple[str, str]:
    """Bus and number, as its node is named."""
    bus, number = (int((device / name).read_text()) for name in ("busnum", "devnum"))
    return f"{bus:03}", f"{number:03}"
