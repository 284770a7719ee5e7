"""What only a bench can bring about: clones, tokens without a serial, touches, pulls, swaps.

Virtual tokens throughout, moved by the simulator's control.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conftest import restore_bench
from tests.contract.conftest import fresh_token
from tests.stations import Said, Station, ended
from tests.token_under_test import TokenUnderTest, Wire
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.faults import FaultKind

SECONDS = 20.0
GENERATE = 0x47  # SP 800-73-4 part 2, 3.3.2: by then PIN, PUK and management key are written


@pytest.fixture
def two(shared_bench: VirtualBench) -> Iterator[tuple[TokenUnderTest, TokenUnderTest]]:
    """Two fresh tokens in two readers."""
    restore_bench(shared_bench)
    yield (
        fresh_token(shared_bench, "yubikey-5.7.4", 0),
        fresh_token(shared_bench, "yubikey-5.7.4", 1),
    )
    restore_bench(shared_bench)


def events(said: Said, name: str) -> list[dict[str, object]]:
    """The events of that name."""
    return [event for event in said.events if event["event"] == name]


def test_two_tokens_with_one_serial(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """At most one of them is bound; the other is stopped before anything is written to it."""
    serial = int(two[0].serial)
    shared_bench.control.replace(1, model="yubikey-5.7.4", serial=serial)
    said = station.tell(*station.batch(holders=2))
    assert said.code == 8
    issued = [entry["token"]["serial"] for entry in station.entries()]
    assert issued == [str(serial)]
    assert said.document["counts"]["issued"] == 1
    pins = [replace(token, inside=dict).state()["piv"]["pin"] for token in two]
    assert len([pin for pin in pins if "default_value=True" in pin]) == 1
    (stopped,) = events(said, "OrderFailed") + events(said, "TokenPassedOver")
    assert str(serial) in str(stopped["reason"])


def test_a_token_without_a_serial_is_passed_over(
    station: Station,
    two: tuple[TokenUnderTest, TokenUnderTest],
    shared_bench: VirtualBench,
    wire: Wire,
) -> None:
    """It cannot be bound to a holder; the token beside it is issued all the same."""
    shared_bench.control.replace(1, model="security-key-5.7")
    before = shared_bench.control.snapshot(1)
    said = station.tell(*station.batch(holders=2))
    assert said.code == 8
    (passed,) = events(said, "TokenPassedOver")
    assert "without a serial" in str(passed["reason"])
    assert shared_bench.control.snapshot(1) == before
    assert [entry["token"]["serial"] for entry in station.entries()] == [two[0].serial]


def test_a_card_that_the_profile_does_not_fit_is_passed_over(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """The profile asks for what no card has: that is said, and nothing is written to it."""
    shared_bench.control.replace(1, model="piv-card")
    before = shared_bench.control.snapshot(1)
    said = station.tell(*station.batch(holders=2))
    (passed,) = events(said, "TokenPassedOver")
    assert "a PIV card of another maker has no such applet" in str(passed["reason"])
    assert shared_bench.control.snapshot(1) == before
    assert said.document["counts"]["issued"] == 1


def test_more_tokens_than_orders(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest]
) -> None:
    """One order, two tokens: one is issued, the other is told that there is no order for it."""
    before = {token.serial: token.state() for token in two}
    said = station.tell(*station.batch())
    assert said.code == 0, said.err
    (entry,) = station.entries()
    (spare,) = [token for token in two if token.serial != entry["token"]["serial"]]
    (passed,) = events(said, "TokenPassedOver")
    assert passed["label"] == spare.serial
    assert "no order is open" in str(passed["reason"])
    assert spare.state() == before[spare.serial]


def test_nobody_touches_and_then_somebody_does(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """The order stops with the reason, the other token is done; the same command finishes it."""
    slow, quick = two
    shared_bench.control.set_touch(int(slow.serial), "never", patience=0.3)
    said = station.tell(*station.batch(holders=2))
    assert said.code == 8
    failed = said.only("OrderFailed")
    assert failed["label"] == slow.serial
    assert "nobody touched the token in time" in str(failed["reason"])
    stopped = {order["serial"]: order for order in said.document["orders"]}
    assert stopped[slow.serial]["state"] == "failed"
    assert "nobody touched" in stopped[slow.serial]["reason"]
    assert stopped[quick.serial]["state"] == "issued"

    sealed = station.secrets(slow.serial)
    shared_bench.control.set_touch(int(slow.serial), "auto")
    again = station.tell(*station.batch(holders=2))
    assert again.code == 0, again.err
    assert again.only("OrderStarted")["resumed"] is True
    entry = station.entry_of(slow.serial)
    assert entry["order"] == failed["order"]
    now = station.secrets(slow.serial)
    assert {name: now[name] for name in sealed} == sealed
    assert len(station.entries()) == 2
    assert station.tell("manifest", "verify").code == 0


def test_the_line_waits_for_a_touch_that_is_asked_for(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """The screen says which token wants to be touched, and a late touch is in time."""
    for token in two:
        shared_bench.control.set_touch(int(token.serial), "after 0.3")
    said = station.tell(*station.batch(holders=2))
    assert said.code == 0, said.err
    wanted = {event["label"]: event["holder"] for event in events(said, "TouchWanted")}
    assert wanted == {event["label"]: event["holder"] for event in events(said, "TokenIssued")}
    assert wanted.keys() == {token.serial for token in two}


def test_a_token_is_begun_in_one_batch_only(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """Another batch passes over a token that was begun, and the first goes on with it."""
    begun, other = two
    shared_bench.control.unplug_reader(1)
    shared_bench.control.set_touch(int(begun.serial), "never", patience=0.2)
    assert station.tell(*station.batch()).code == 8
    before = begun.state()
    second = station.tell(*station.batch(holders=2, name="second"))
    assert second.code == 8
    passed = second.only("TokenPassedOver")
    assert "was begun for order" in str(passed["reason"])
    assert begun.state() == before
    assert second.document["counts"]["open"] == 2
    shared_bench.control.set_touch(int(begun.serial), "auto")
    assert station.tell(*station.batch()).code == 0
    assert station.entry_of(begun.serial)["batch"] != second.document["batch"]


def test_a_token_is_pulled_and_another_one_put_in(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """The newcomer never gets the other's order; put in again, the first one is finished.

    It is pulled while its key is made, after its PIN and management key were written.
    """
    first = two[0]
    control = shared_bench.control
    control.unplug_reader(1)
    control.fault(int(first.serial), FaultKind.UNPLUG_AFTER, ins=GENERATE)
    cut = station.tell(*station.batch(holders=2))
    assert cut.code == 8
    order = cut.only("OrderFailed")["order"]
    kept = control.snapshot(int(first.serial))

    newcomer = fresh_token(shared_bench, "yubikey-5.7.4")
    said = station.tell(*station.batch(holders=2))
    assert said.only("OrderStarted")["resumed"] is False
    assert said.only("TokenIssued")["label"] == newcomer.serial
    assert said.only("TokenIssued")["order"] != order

    control.replace(0, model="yubikey-5.7.4", serial=int(first.serial))
    control.restore(int(first.serial), kept)
    done = station.tell(*station.batch(holders=2))
    assert done.code == 0, done.err
    assert done.only("TokenIssued")["order"] == order
    assert station.entry_of(first.serial)["order"] == order
    assert station.tell("manifest", "verify").code == 0


def test_tokens_one_after_another_in_one_reader(
    station: Station, two: tuple[TokenUnderTest, TokenUnderTest], shared_bench: VirtualBench
) -> None:
    """With --wait the line takes each token that is put in, and ends when the orders are done."""
    control = shared_bench.control
    control.unplug_reader(1)
    running = station.start(*station.batch(holders=3), "--wait", str(SECONDS))
    serials = [two[0].serial]
    deadline = time.monotonic() + SECONDS
    for _ in range(2):
        while len(station.entries()) < len(serials):
            assert time.monotonic() < deadline, "the token in the reader was not issued"
            time.sleep(0.05)
        serials.append(fresh_token(shared_bench, "yubikey-5.7.4").serial)
    said = ended(running)
    assert said.code == 0, said.err
    assert [event["label"] for event in events(said, "TokenIssued")] == serials
    assert [order["serial"] for order in said.document["orders"]] == serials
