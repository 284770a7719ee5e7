"""The parts of a bench: the virtual USB bus, faults, touch, and what is said when it cannot be."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from tokenprov.sim.assembly import make_token
from tokenprov.sim.bus import PRODUCTS, Bus, Reader
from tokenprov.sim.contact import Contact, Operation, Status
from tokenprov.sim.faults import Fault, FaultKind, FaultPlan, memory_full_answer
from tokenprov.sim.ifd import build
from tokenprov.sim.pcscd import PrivatePcscd, find_program
from tokenprov.sim.presence import Finger, TouchPolicy
from tokenprov.sim.specs import BenchError, TokenSpec

YUBIKEY = "Yubico YubiKey OTP+FIDO+CCID"
SELECT_OTP = bytes.fromhex("00a4040007a0000005272001")


def reader(number: int, name: str = YUBIKEY) -> Reader:
    """A reader of that number."""
    return Reader(number=number, name=name, device=f"/x/ifd:{number}")


def test_the_bus_numbers_readers_as_pcscd_does(tmp_path: Path) -> None:
    """A reader gets the lowest number that none has; a restart numbers them anew."""
    bus = Bus(tmp_path)
    for number in range(3):
        bus.plug(reader(number))
    bus.unplug(0)
    bus.plug(reader(7))
    assert bus.name_of(7) == f"{YUBIKEY} 00 00"
    assert bus.name_of(2) == f"{YUBIKEY} 02 00"
    bus.renumber()
    assert [bus.name_of(number) for number in (1, 2, 7)] == [f"{YUBIKEY} 0{n} 00" for n in range(3)]


def test_the_bus_tells_who_listens(tmp_path: Path) -> None:
    """Whoever is bound to the monitor hears of each reader, after the device file has changed."""
    bus = Bus(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as monitor:
        monitor.bind(str(bus.monitor))
        bus.plug(reader(0))
        assert monitor.recv(512) == b"add 1-1:1.0 1050 0407 /x/ifd:0"
        assert (tmp_path / "devices").read_text() == "1-1:1.0 1050 0407 /x/ifd:0\n"
        bus.unplug(0)
        assert monitor.recv(512) == b"remove 1-1:1.0 1050 0407 /x/ifd:0"
        assert (tmp_path / "devices").read_text() == ""


def test_the_bus_refuses_what_cannot_be(tmp_path: Path) -> None:
    """No product without a name, no reader twice, no seventeenth reader."""
    bus = Bus(tmp_path)
    with pytest.raises(ValueError, match="no product is called"):
        bus.plug(reader(0, "A Reader of Nobody's"))
    for number in range(16):
        bus.plug(reader(number))
    for number in (3, 16):
        with pytest.raises(ValueError, match="plugged in|no room"):
            bus.plug(reader(number))


def test_libccid_gives_the_same_names() -> None:
    """The names of Yubico's products are those in the table of the installed libccid."""
    text = Path("/etc/libccid_Info.plist").read_text(encoding="utf-8")
    yubico = [name for name, product in PRODUCTS.items() if product.vendor == 0x1050]
    assert len(yubico) == 4
    assert [name for name in yubico if f"<string>{name}</string>" not in text] == []


@pytest.mark.parametrize(
    ("at", "ins", "fires"),
    [(1, None, [0]), (3, None, [2]), (1, 0xA4, [1]), (2, 0xA4, [3])],
)
def test_a_fault_fires_once_at_its_command(at: int, ins: int | None, fires: list[int]) -> None:
    """Commands are counted from the telling on, with an instruction only those that have it."""
    plan = FaultPlan()
    fault = Fault(kind=FaultKind.GARBAGE, at=at, ins=ins)
    plan.add(fault)
    commands = [b"\x00\x01\x00\x00", b"\x00\xa4\x00\x00"] * 3
    taken = [plan.take(raw) for raw in commands]
    assert [index for index, due in enumerate(taken) if due is fault] == fires


def test_two_faults_at_one_command_come_in_turn() -> None:
    """The second of two due faults happens at the next command."""
    plan = FaultPlan()
    for kind in (FaultKind.GARBAGE, FaultKind.TRUNCATED):
        plan.add(Fault(kind=kind))
    kinds = [due.kind for _ in range(2) if (due := plan.take(b"\x00\x01\x00\x00")) is not None]
    assert kinds == [FaultKind.GARBAGE, FaultKind.TRUNCATED]


@pytest.mark.parametrize(("at", "seconds"), [(0, 0.0), (-1, 0.0), (1, -0.5)])
def test_a_fault_that_makes_no_sense(at: int, seconds: float) -> None:
    """A fault before the next command, or a delay into the past, is refused."""
    with pytest.raises(ValueError, match="a fault is at a command"):
        Fault(kind=FaultKind.DELAY, at=at, seconds=seconds)


def test_memory_full_is_said_in_the_language_of_the_command() -> None:
    """ISO 7816 has 6A84; CTAP has its own status inside a 9000."""
    assert memory_full_answer(bytes.fromhex("00db3fff")) == b"\x6a\x84"
    assert memory_full_answer(bytes.fromhex("80100000")) == b"\x28\x90\x00"


@pytest.mark.parametrize("text", ["", "sometimes", "after", "after x", "after -1", "auto 3"])
def test_touch_policies_that_are_none(text: str) -> None:
    """Only `auto`, `never` and `after SECONDS` are policies."""
    with pytest.raises(ValueError):  # noqa: PT011  each text fails in its own way
        TouchPolicy.parse(text)


def test_a_finger_comes_when_the_policy_says() -> None:
    """At once, after its delay, not at all, too late, or when pressed."""
    assert Finger(TouchPolicy.parse("auto")).wait()
    assert Finger(TouchPolicy.parse("after 0.02")).wait()
    assert not Finger(TouchPolicy.parse("never", patience=0.02)).wait()
    assert not Finger(TouchPolicy.parse("after 9", patience=0.02)).wait()
    finger = Finger(TouchPolicy.parse("never", patience=5))
    threading.Timer(0.05, finger.press).start()
    assert finger.wait()
    threading.Timer(0.05, finger.pulled).start()
    assert not finger.wait()


def test_a_pull_is_felt_however_short_it_is() -> None:
    """Whoever waits for a touch, or computes, stops when pulled, also where it is back by then."""
    finger, felt = Finger(TouchPolicy.parse("never", patience=60)), threading.Event()

    def pulled_and_back() -> None:
        while not felt.wait(0.05):  # before and while somebody waits
            with finger._wake:  # so that both have happened when the waiting thread looks
                finger.pulled()
                finger.plugged()

    pulling = threading.Thread(target=pulled_and_back)
    pulling.start()
    began = time.monotonic()
    assert not finger.wait()
    finger.sleep(60)
    felt.set()
    pulling.join()
    assert time.monotonic() - began < 60


def contact_with_token() -> Contact:
    """A contact with a powered token."""
    contact = Contact(0)
    contact.put_aside(make_token("yubikey-5.7.4", 5))
    contact.insert()
    assert contact.operate(Operation.POWER_ON, b"")[0] is Status.DONE
    return contact


def test_an_unpowered_token_is_silent() -> None:
    """A token that came back, or was switched off, answers nothing until it is powered."""
    contact = contact_with_token()
    contact.remove()
    assert contact.operate(Operation.TRANSMIT, SELECT_OTP) == (Status.NO_CARD, b"")
    contact.insert()
    assert contact.operate(Operation.TRANSMIT, SELECT_OTP) == (Status.BROKEN, b"")
    assert contact.operate(Operation.RESET, b"")[1].startswith(b"\x3b")
    assert contact.operate(Operation.TRANSMIT, SELECT_OTP)[1].endswith(b"\x90\x00")
    contact.operate(Operation.POWER_OFF, b"")
    assert contact.operate(Operation.TRANSMIT, SELECT_OTP) == (Status.BROKEN, b"")


def test_power_is_awaited_once_a_visit() -> None:
    """A token was powered, whatever came after; put in anew it was not yet."""
    contact = contact_with_token()
    contact.operate(Operation.POWER_OFF, b"")
    assert contact.wait_powered(0)
    contact.remove()
    contact.insert()
    assert not contact.wait_powered(0)


def test_the_card_was_reset_behind_the_clients_back() -> None:
    """After that fault nothing is selected any more."""
    contact = contact_with_token()
    contact.operate(Operation.TRANSMIT, SELECT_OTP)
    contact.faults.add(Fault(kind=FaultKind.RESET_BEFORE))
    assert contact.operate(Operation.TRANSMIT, bytes.fromhex("0003000000"))[1] == b"\x6d\x00"


def test_a_token_can_be_put_in_once_only() -> None:
    """There is one token in a reader."""
    contact = contact_with_token()
    with pytest.raises(ValueError, match="there is a token"):
        contact.insert()
    with pytest.raises(ValueError, match="there is a token"):
        contact.put_aside(make_token("yubikey-5.7.4", 6))
    with pytest.raises(ValueError, match="no token to put in"):
        Contact(1).insert()


def test_an_unknown_model_is_named() -> None:
    """A model that is not there is refused with those that are."""
    with pytest.raises(BenchError, match="no model 'yubikey-9'; there are yubikey-5.7.4"):
        TokenSpec(model="yubikey-9").make()


def test_a_missing_program_names_its_package() -> None:
    """What is missing is said with the package that brings it."""
    with pytest.raises(build.SimulatorUnavailable, match="no-such-pcscd is missing: install pcscd"):
        find_program("no-such-pcscd", "pcscd")


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a C compiler the driver cannot be built, and that is said; a built one is enough."""
    driver = build.build_driver(tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.build_driver(tmp_path / "cache") == driver
    with pytest.raises(build.SimulatorUnavailable, match="install gcc"):
        build.build_driver(tmp_path / "other")


def test_a_long_folder_is_refused(tmp_path: Path) -> None:
    """A socket's path has 107 bytes; a longer one is refused before anything starts."""
    driver = build.Driver(handler=tmp_path / "a", bus=tmp_path / "b")
    with pytest.raises(build.SimulatorUnavailable, match="too long"):
        PrivatePcscd(tmp_path / ("x" * 100), driver, Bus(tmp_path))


def test_a_pull_wakes_a_token_that_waits_for_a_finger() -> None:
    """A token that blinks and is pulled gives its reader an error at once."""
    contact = contact_with_token()
    contact.faults.add(Fault(kind=FaultKind.DELAY, seconds=30))
    threading.Timer(0.1, contact.remove).start()
    started = time.monotonic()
    assert contact.operate(Operation.TRANSMIT, SELECT_OTP) == (Status.BROKEN, b"")
    assert time.monotonic() - started < 5
