"""Tokens that restart because their interfaces changed, and come back in readers of other names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from yubikit.core import TRANSPORT
from yubikit.management import CAPABILITY, ManagementSession

from tests.conftest import restore_bench
from tests.contract.conftest import fresh_token
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.device.comeback import GRACE, PATIENCE, Link
from tokenprov.device.pcsc import connected
from tokenprov.errors import NotSupported, TokenGone
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.faults import FaultKind

PROFILE = """name = "smart-card"
[device]
usb = ["piv", "oath"]
lock-code = true
[piv]
"""
BEFORE, AFTER = "Yubico YubiKey OTP+FIDO+CCID", "Yubico YubiKey CCID"
WRITE_CONFIG = 0x1C


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile that leaves the smart card alone on USB."""
    path = tmp_path / "smart-card.toml"
    path.write_text(PROFILE, encoding="utf-8")
    return path


@pytest.fixture
def readers(shared_bench: VirtualBench) -> Iterator[VirtualBench]:
    """The shared bench with both its readers."""
    restore_bench(shared_bench)
    yield shared_bench
    restore_bench(shared_bench)


def names(said: Said) -> list[str]:
    """The events of a run but those of its steps."""
    return [one["event"] for one in said.events if one["event"] != "StepStarted"]


def count(said: Said, event: str) -> int:
    """How often an event was told."""
    return names(said).count(event)


def smart_card_alone(reader: str) -> bool:
    """Whether the token in that reader has no application but PIV and OATH on USB."""
    with connected(reader) as to:
        on = ManagementSession(to).read_device_info().config.enabled_capabilities[TRANSPORT.USB]
    return on & ~CAPABILITY(0x04) == CAPABILITY.PIV | CAPABILITY.OATH


def test_it_goes_on_under_another_name(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench, profile: Path
) -> None:
    """One turn takes it through the restart; it is not taken for another token elsewhere."""
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.err
    assert said.only("TokenSeen")["reader"].startswith(BEFORE)
    issued = said.only("TokenIssued")
    assert issued["reader"].startswith(AFTER)
    assert issued["label"] == token.serial
    assert not {"TokenPassedOver", "ReaderHeld", "TokenReady", "OrderFailed"} & set(names(said))
    assert smart_card_alone(issued["reader"])
    again = station.tell(*station.batch(profile=profile))
    assert "was issued to" in again.only("TokenReady")["reason"]


def test_two_that_restart_at_once_are_told_apart(
    station: Station, readers: VirtualBench, profile: Path
) -> None:
    """Both come back under one name; each goes on with its own order."""
    tokens = [fresh_token(readers, "yubikey-5.7.4", number) for number in range(2)]
    said = station.tell(*station.batch(holders=2, profile=profile))
    assert said.code == 0, said.err
    assert count(said, "TokenIssued") == 2
    assert count(said, "TokenSeen") == 2
    for token in tokens:
        locked = station.entry_of(token.serial)
        assert locked["steps"][0]["id"] == "device/configuration"
        assert locked["steps"][0]["facts"] == {"usb": ["oath", "piv"]}
        assert smart_card_alone(readers.control.token(int(token.serial))["reader"])


def test_an_answer_that_is_lost_with_the_restart(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench, profile: Path
) -> None:
    """The write happened though nothing came back: it is read, and not written again."""
    one_reader.control.fault(int(token.serial), FaultKind.ANSWER_LOST, ins=WRITE_CONFIG)
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.err
    assert station.entry_of(token.serial)["steps"][0]["state"] == "match"


class Passing:
    """Time that passes by waiting alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.now += seconds


def test_one_that_does_not_come_back(token: TokenUnderTest, one_reader: VirtualBench) -> None:
    """After the patience it is said which token is missing, and what to do."""
    passing = Passing()
    with Link(token.reader, clock=passing.clock, sleep=passing.sleep) as link:
        link.watch(token.serial)
        one_reader.control.unplug_reader(0)
        with pytest.raises(TokenGone, match=f"token {token.serial} did not come back"):
            link.again(token.serial)
    assert passing.now >= PATIENCE


def test_another_one_in_its_place_is_not_it(
    token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """It is known by its serial, not by its reader."""
    passing = Passing()
    with Link(token.reader, clock=passing.clock, sleep=passing.sleep) as link:
        link.watch(token.serial)
        link.connection.close()
        fresh_token(one_reader, "yubikey-5.7.4")
        with pytest.raises(TokenGone):
            link.again(token.serial)
        assert link.moved is None


def test_one_that_stays_is_taken_again(token: TokenUnderTest) -> None:
    """A token that did not leave is connected to again, once it had the time to leave."""
    passing = Passing()
    with Link(token.reader, clock=passing.clock, sleep=passing.sleep) as link:
        link.watch(token.serial)
        connection = link.again(token.serial)
        assert connection.reader == token.reader
        assert GRACE <= passing.now < PATIENCE


def test_one_without_a_serial_does_not_restart(token: TokenUnderTest) -> None:
    """Nobody could tell it from another one afterwards: it is refused before the write."""
    with Link(token.reader) as link, pytest.raises(NotSupported, match="without a serial"):
        link.watch(None)


def test_the_connection_is_closed_in_the_end(token: TokenUnderTest) -> None:
    """After a restart the reader is free again for others."""
    passing = Passing()
    with Link(token.reader, clock=passing.clock, sleep=passing.sleep) as link:
        link.watch(token.serial)
        link.again(token.serial)
    for _ in range(2):
        with connected(token.reader) as free:
            assert free.reader == token.reader


def test_one_that_nothing_would_reach_afterwards_keeps_its_smart_card(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench, tmp_path: Path
) -> None:
    """Behind this pcscd there are no HID nodes: it is refused before anything is written."""
    profile = tmp_path / "without.toml"
    profile.write_text('name = "without"\n[device]\nusb = ["otp", "fido2", "u2f"]\n')
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 8, said.err
    assert "nothing reaches it here" in said.only("OrderFailed")["reason"]
    with connected(token.reader) as to:
        on = ManagementSession(to).read_device_info().config.enabled_capabilities[TRANSPORT.USB]
    assert on & CAPABILITY.PIV
