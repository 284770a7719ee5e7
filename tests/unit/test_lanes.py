"""Which insertion has its turn on the line, when readers come and go under it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, cast

import pytest

from tokenprov import events
from tokenprov.device.pcsc import ReaderState
from tokenprov.in_hand import InHand
from tokenprov.lanes import Lane, Lanes

HERE, THERE = "reader 00", "reader 01"


def insertion(number: int, reader: str = HERE) -> ReaderState:
    """A token in a reader."""
    return ReaderState(name=reader, present=True, in_use=False, events=number)


class Bench:
    """Readers of which each look is told beforehand, and the lanes that look at them."""

    def __init__(self) -> None:
        self._now: tuple[ReaderState, ...] = ()
        self.in_hand, self.told = InHand(), list[events.Event]()
        self.lanes = Lanes(cast(Any, self), self.in_hand, self.told.append)

    def readers(self) -> Bench:
        """As a source has them."""
        return self

    def states(self) -> Sequence[ReaderState]:
        """What is there at this look."""
        return self._now

    def look(self, *now: ReaderState) -> list[Lane]:
        """The lanes in which an insertion waits; each has its turn from now on."""
        self._now = now
        waiting = list(self.lanes.waiting())
        for lane in waiting:
            lane.turn = Future()
        return waiting


@pytest.fixture
def bench() -> Bench:
    """Nothing is plugged in yet."""
    return Bench()


def test_an_insertion_is_served_once(bench: Bench) -> None:
    """Not again while it has its turn, nor after; the next one is, also of one that came early."""
    (lane,) = bench.look(insertion(1))
    assert not bench.look(insertion(1))
    lane.turn = None
    assert not bench.look(insertion(1))
    assert bench.look(insertion(3)) == [lane]
    assert not bench.look(insertion(5))
    lane.turn = None
    assert bench.look(insertion(5)) == [lane]


def test_another_reader_by_the_same_name_has_another_token(bench: Bench) -> None:
    """The counter may come to the same number in a reader that left and came back in the turn."""
    (lane, other) = bench.look(insertion(4), insertion(4, THERE))
    assert not bench.look(insertion(4, THERE))
    assert not bench.look(insertion(4), insertion(4, THERE))
    lane.turn = other.turn = None
    assert bench.look(insertion(4), insertion(4, THERE)) == [lane]


def test_a_reader_that_left_after_the_turn_is_told(bench: Bench) -> None:
    """And a token in it is a new one, whatever the counter says."""
    (lane,) = bench.look(insertion(4))
    lane.turn = None
    assert not bench.look()
    assert isinstance(bench.told[-1], events.ReaderGone)
    (again,) = bench.look(insertion(4))
    assert again.reader == HERE


def test_a_reader_that_restarts_in_the_turn_has_no_new_token(bench: Bench) -> None:
    """It leaves and comes back with the token of the turn, which says so at its end."""
    (lane,) = bench.look(insertion(4))
    assert not bench.look()
    assert not bench.look(insertion(1))
    bench.in_hand.served([insertion(1)])
    lane.turn = None
    assert not bench.look(insertion(1))
    assert bench.look(insertion(3)) == [lane]
