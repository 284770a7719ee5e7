"""A token that never comes to an end, and the line that goes on without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from fido2.ctap import CtapDevice, CtapError
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, KEY_TYPE, SLOT, PivSession

from tests.conftest import restore_bench
from tests.contract.conftest import fresh_token
from tests.stations import Station, ended
from tests.token_under_test import Ins, TokenUnderTest
from tokenprov.device.hid import WatchedDevice
from tokenprov.device.watch import Limits, Watch
from tokenprov.errors import TokenError
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.faults import FaultKind

NEVER = 100.0  # seconds until the answer, unless the token is pulled


@pytest.fixture
def two(shared_bench: VirtualBench) -> Iterator[tuple[TokenUnderTest, TokenUnderTest]]:
    """Two fresh tokens in two readers."""
    restore_bench(shared_bench)
    yield (
        fresh_token(shared_bench, "yubikey-5.7.4", 0),
        fresh_token(shared_bench, "yubikey-5.7.4", 1),
    )
    restore_bench(shared_bench)


def test_a_token_that_does_not_answer_is_given_up(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """The other one is issued, the program ends without its answer, and the next run goes on."""
    slow, quick = two
    control = shared_bench.control
    control.fault(int(slow.serial), FaultKind.DELAY, ins=Ins.GENERATE, seconds=NEVER)
    said = station.run(*station.batch(holders=2), "--command-limit", "1")
    assert said.code == 8, said.err
    assert "Traceback" not in said.err
    given_up = said.only("TokenGivenUp")
    assert given_up["label"] == slow.serial
    assert "not answered within 1 s" in given_up["reason"]
    states = {order["serial"]: order["state"] for order in said.document["orders"]}
    assert states == {slow.serial: "working", quick.serial: "issued"}

    control.remove(int(slow.serial))
    control.insert(int(slow.serial))
    again = station.tell(*station.batch(holders=2))
    assert again.code == 0, again.err
    assert len(station.entries()) == 2
    assert station.tell("manifest", "verify").code == 0


def test_its_reader_takes_the_next_token(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """When it is pulled, another token in the same reader is issued in the same run."""
    slow = two[0]
    shared_bench.control.unplug_reader(1)
    shared_bench.control.fault(int(slow.serial), FaultKind.DELAY, ins=Ins.GENERATE, seconds=NEVER)
    command = (*station.batch(holders=2), "--command-limit", "0.5", "--wait", "3")
    running = station.start(*command)
    assert running.stderr is not None
    while "TokenGivenUp" not in running.stderr.readline():
        assert running.poll() is None
    following = fresh_token(shared_bench, "yubikey-5.7.4")
    said = ended(running)
    assert said.code == 8, said.err
    assert said.only("TokenIssued")["label"] == following.serial
    states = {order["serial"]: order["state"] for order in said.document["orders"]}
    assert states == {slow.serial: "failed", following.serial: "issued"}


def test_a_token_that_takes_too_long_in_all(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """The time for all of it counts too, while each command is in time; nothing is lost."""
    shared_bench.control.unplug_reader(1)
    shared_bench.control.fault(int(two[0].serial), FaultKind.DELAY, ins=Ins.GENERATE, seconds=2.0)
    said = station.run(*station.batch(), "--token-limit", "0.3")
    assert said.code == 8
    assert "not done within" in said.only("TokenGivenUp")["reason"]
    again = station.tell(*station.batch())
    assert again.code == 0, again.err
    assert station.entry_of(two[0].serial)["kit"]["size"] == 1


def test_a_watch() -> None:
    """It counts a command from its start and a turn in all, and lets nothing pass once given up."""
    now = [0.0]
    watch = Watch(clock=lambda: now[0])
    limits = Limits(command=2, token=10)
    watch.sending()
    now[0] = 2.0
    assert watch.overdue(limits) == ""
    now[0] = 2.5
    assert "2 s" in watch.overdue(limits)
    watch.answered()
    assert watch.overdue(limits) == ""
    now[0] = 10.5
    assert "10 s" in watch.overdue(limits)
    watch.given_up = "too long"
    with pytest.raises(TokenError, match="too long"):
        watch.sending()


def test_nobody_touches_and_it_is_put_in_again(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """A token that is not touched in time stops alone; put in again in the same run, it goes on."""
    missed, other = two
    control = shared_bench.control
    control.set_touch(int(missed.serial), "never", patience=0.3)
    running = station.start(*station.batch(holders=2), "--wait", "20")
    assert running.stderr is not None
    while '"OrderFailed"' not in (line := running.stderr.readline()):
        assert line, "it ended before the touch was missed"
    assert "nobody touched" in line
    control.set_touch(int(missed.serial), "auto")
    control.remove(int(missed.serial))
    control.insert(int(missed.serial))
    said = ended(running)
    assert said.code == 0, said.err
    assert {str(one["token"]["serial"]) for one in station.entries()} == {
        missed.serial,
        other.serial,
    }


def test_a_wipe_that_never_ends_is_given_up(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """The limit holds on the connections of a wipe too; the other token is issued meanwhile."""
    used, fresh = two
    control = shared_bench.control
    with used.connection() as connection:
        piv = PivSession(connection)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    control.fault(int(used.serial), FaultKind.DELAY, ins=Ins.RESET_PIV, seconds=NEVER)
    options = ("--wipe", used.serial, "--reason", "from the drawer", "--command-limit", "3")
    said = station.run(*station.batch(holders=2), *options)
    assert said.code == 8
    assert said.only("TokenGivenUp")["label"] == used.serial
    assert said.only("TokenIssued")["label"] == fresh.serial


class _Waits(CtapDevice):
    """A HID authenticator that waits for a touch until it is cancelled (CTAP 2.1, 11.2.9.1.5)."""

    capabilities = 0

    def call(
        self, cmd: int, data: bytes = b"", event: Event | None = None, on_keepalive: Any = None
    ) -> bytes:
        assert event is not None
        while not event.is_set():
            time.sleep(0.01)
        raise CtapError(CtapError.ERR.KEEPALIVE_CANCEL)

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())


def test_a_command_over_hid_is_watched() -> None:
    """It counts from its start, and is cancelled when the token is given up."""
    watch = Watch()
    device = WatchedDevice(_Waits(), watch)
    with ThreadPoolExecutor(1) as pool:
        command = pool.submit(device.call, 0x10)
        deadline = time.monotonic() + 10
        while not watch.overdue(Limits(command=0.1, token=100)):
            assert time.monotonic() < deadline, "the command does not count"
            time.sleep(0.02)
        assert not command.done()
        watch.given_up = "too long"
        with pytest.raises(TokenError, match="too long"):
            command.result(10)
