"""The station's surroundings: other programs, another process on its home, pcscd, many tokens.

On benches of their own and as programs of their own, because a process keeps to the PC/SC service
that it found first.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from tests.other_client import holding
from tests.stations import Said, Station, ended, make_station
from tests.token_under_test import TokenUnderTest, Wire
from tokenprov.sim.bench import VirtualBench

NOTICED = 2.0  # seconds in which an interrupt is, also on a busy machine
SECONDS = 20.0
MANY = 16  # PCSCLITE_MAX_READERS_CONTEXTS: more readers pcscd does not serve


@contextmanager
def finally_ended(process: Popen[str]) -> Iterator[Popen[str]]:
    """Whatever fails, the program does not outlive its test."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that the bench shows. Fails when it does not come."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture(scope="module")
def pair() -> Iterator[VirtualBench]:
    """A bench with two tokens."""
    with VirtualBench(tokens=2) as bench:
        yield bench


@pytest.fixture
def at_work(pair: VirtualBench, tmp_path: Path) -> Iterator[tuple[Station, Popen[str]]]:
    """A batch that waits for a touch at both tokens of the pair."""
    for number in range(2):
        pair.control.replace(number, serial=30_000_001 + number)
        pair.control.set_touch(30_000_001 + number, "never", patience=SECONDS)
    station = make_station(tmp_path, pair.environment)
    with finally_ended(station.start(*station.batch(holders=2))) as process:
        until(
            lambda: all(line["waiting"] for line in pair.control.tokens()),
            "no token waits to be touched",
        )
        yield station, process


def touch_again(bench: VirtualBench) -> None:
    """From now on touches come at once; whoever waits is touched."""
    for serial in bench.serials:
        bench.control.set_touch(serial, "auto")
        bench.control.press(serial)


def issued(said: Said) -> set[str]:
    """The serials that a command reports as issued."""
    return {o["serial"] for o in said.document["orders"] if o["state"] == "issued"}


def test_a_second_process_on_the_same_home(
    at_work: tuple[Station, Popen[str]], pair: VirtualBench
) -> None:
    """It is refused with the first one's process id and touches no token; looking is allowed."""
    station, first = at_work
    before = [line["apdus"] for line in pair.control.tokens()]
    second = station.tell(*station.batch(holders=2))
    assert second.code == 3
    assert str(first.pid) in second.err
    assert "Traceback" not in second.err
    looked = station.tell("batch", "status", "--json")
    assert looked.code == 0
    assert looked.document[0]["counts"]["working"] == 2
    assert [line["apdus"] for line in pair.control.tokens()] == before
    touch_again(pair)
    said = ended(first)
    assert said.code == 0, said.err
    assert issued(said) == {str(serial) for serial in pair.serials}


def test_pcscd_is_restarted_in_the_middle(
    at_work: tuple[Station, Popen[str]], pair: VirtualBench
) -> None:
    """The command says that the service was lost, finds the tokens again, and finishes them."""
    station, running = at_work
    pair.control.restart_pcscd()
    touch_again(pair)  # what the dead connection waited for is nobody's any more
    said = ended(running)
    assert said.code == 0, said.out + said.err
    assert issued(said) == {str(serial) for serial in pair.serials}
    assert "ServiceLost" in {event["event"] for event in said.events}
    assert len(station.entries()) == 2
    assert station.tell("manifest", "verify").code == 0


def test_an_interrupt_finishes_what_is_in_hand(
    at_work: tuple[Station, Popen[str]], pair: VirtualBench
) -> None:
    """After the first interrupt the tokens in the readers are finished, and then it ends."""
    station, running = at_work
    running.send_signal(signal.SIGINT)
    time.sleep(NOTICED)
    touch_again(pair)
    said = ended(running)
    assert "Traceback" not in said.err
    assert said.code == 0, said.err
    told = said.only("Interrupted")
    assert (told["in_hand"], told["left"]) == (2, 2)
    assert len(station.entries()) == 2


def test_two_interrupts_end_it_at_once_and_it_goes_on_later(
    at_work: tuple[Station, Popen[str]], pair: VirtualBench
) -> None:
    """The second interrupt ends the program with code 130, though nobody touches a token.

    No token is at fault; the same command finishes them.
    """
    station, running = at_work
    running.send_signal(signal.SIGINT)
    time.sleep(NOTICED)
    running.send_signal(signal.SIGINT)
    said = ended(running)
    assert all(line["waiting"] for line in pair.control.tokens())
    assert said.code == 130
    assert "Run the same command again" in said.err
    assert "Traceback" not in said.err
    left = station.tell("batch", "status", "--json").document[0]["counts"]
    assert (left["working"], left["failed"]) == (2, 0)
    touch_again(pair)
    again = station.run(*station.batch(holders=2))
    assert again.code == 0, again.err
    assert len(station.entries()) == 2


def test_a_reader_that_another_program_holds(
    station: Station, token: TokenUnderTest, wire: Wire
) -> None:
    """The refusal names the program and its process id, and nothing is sent to the token."""
    wire.clear()
    with holding(token.reader, station.environment) as pid:
        said = station.tell("plan", station.roster(), "--profile", "standard-employee")
        listed = station.tell("token", "list", "--json")
        os.kill(pid, 0)  # it was not killed for it
    assert said.code == 4
    assert f"({pid})" in said.err
    assert "Close that program" in said.err
    assert wire.commands == []
    (line,) = listed.document
    assert line["serial"] is None
    assert f"({pid})" in line["trouble"]


def test_the_line_takes_a_reader_up_when_it_is_let_go(
    station: Station, token: TokenUnderTest
) -> None:
    """A batch waits a while for a reader that is held, and issues the token when it is free."""
    with ExitStack() as held, ExitStack() as both:
        held.enter_context(holding(token.reader, station.environment))
        running = both.enter_context(finally_ended(station.start(*station.batch())))
        assert running.stderr is not None
        while '"ReaderSeen"' not in running.stderr.readline():
            assert running.poll() is None
        time.sleep(NOTICED)
        assert running.poll() is None
        held.close()
        said = ended(running)
    assert said.code == 0, said.err
    assert issued(said) == {token.serial}


def test_the_line_passes_over_a_reader_that_stays_held(
    station: Station, token: TokenUnderTest, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its patience (10 s, here less) is over, the line names the program and goes on."""
    monkeypatch.setattr("tokenprov.line.BUSY_PATIENCE", 0.1)
    wire.clear()
    with holding(token.reader, station.environment) as pid:
        said = station.tell(*station.batch())
    assert said.code == 8
    assert f"({pid})" in said.only("TokenPassedOver")["reason"]
    assert wire.commands == []


def test_sixteen_tokens_at_once(tmp_path: Path) -> None:
    """As many as pcscd can have: each is issued to a holder of its own, in one run."""
    with VirtualBench(tokens=MANY) as bench:
        station = make_station(tmp_path, bench.environment)
        said = station.run(*station.batch(holders=MANY // 2, kit=2))
        assert said.code == 0, said.out + said.err
        assert issued(said) == {str(serial) for serial in bench.serials}
    entries = station.entries()
    pairs = {(entry["holder"]["id"], entry["kit"]["position"]) for entry in entries}
    assert len(pairs) == len(entries) == MANY
    report = station.tell("manifest", "verify", "--json").document
    assert (report["holds"], report["issued"], report["identities"]) == (True, MANY, MANY // 2)
