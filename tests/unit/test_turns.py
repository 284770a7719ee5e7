"""Threads for turns: how the line ends while some of them are at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress

import pytest

from tokenprov.device.watch import Limits, Watch
from tokenprov.errors import StationError
from tokenprov.turns import Turns

Turn = Callable[[str, int, Watch], None]
ENOUGH = 60.0  # seconds, for a turn in a command when the line ends, which nobody waits for


class Failed(Exception):
    """What ends a line."""


def ended_by(
    error: BaseException, limits: Limits, turn: Turn, watches: Sequence[Watch]
) -> list[Future[None]]:
    """A line with turns under these watches, which an error ends at once."""
    running: list[Future[None]] = []
    with suppress(type(error)), Turns(limits) as turns:
        running += [turns.submit(watch, turn, "a reader", 1) for watch in watches]
        raise error
    return running


def test_a_line_that_fails_does_not_wait_for_ever() -> None:
    """A token that answers no more is given up after its time, also when the line is at its end."""
    answer, watch = threading.Event(), Watch()

    def turn(reader: str, insertion: int, watch: Watch) -> None:
        watch.sending()
        answer.wait()

    ended_by(Failed(), Limits(command=0.2), turn, [watch])
    assert "not answered" in watch.given_up
    answer.set()


def test_a_line_that_fails_lets_the_others_finish() -> None:
    """A turn that is in time comes to its end."""
    (done,) = ended_by(Failed(), Limits(), lambda *_: time.sleep(0.3), [Watch()])
    assert done.result(0) is None


def test_an_interrupt_stops_all_before_their_next_command() -> None:
    """None of them is at fault: the error is the station's, and says how it goes on."""

    def turn(reader: str, insertion: int, watch: Watch) -> None:
        while True:
            watch.sending()
            watch.answered()

    for one in ended_by(KeyboardInterrupt(), Limits(), turn, [Watch() for _ in range(3)]):
        with pytest.raises(StationError, match="stopped"):
            one.result(ENOUGH)
