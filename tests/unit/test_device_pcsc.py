"""Readers: a wait for them ends with a change, when it is told to, or in time; those that leave
meanwhile; connecting.
"""

import threading
import time
from typing import Any

import pytest
from smartcard import scard

from tokenprov.device.pcsc import LOOKS, POWER_UP, SHORTEST_WAIT, Code, Context
from tokenprov.errors import PcscUnavailable, TokenGone
from tokenprov.sim.bench import VirtualBench

LONG = 20.0  # seconds, far above what a change takes to show
SOON = 10.0  # seconds, also on a busy machine


def seconds_of(context: Context, seconds: float) -> float:
    """How long a wait takes."""
    began = time.monotonic()
    context.wait(seconds)
    return time.monotonic() - began


def settled(context: Context) -> None:
    """Look until nothing changes any more: pcscd powers a token down after a while."""
    for _ in range(100):
        context.states()
        if seconds_of(context, 1.0) >= 0.9:
            context.states()
            return
    raise AssertionError("the reader's state never settles")


def test_a_token_that_goes_ends_the_wait(bench: VirtualBench) -> None:
    """Pulling a token is seen at once, and so is one that went between the look and the wait."""
    with Context() as context:
        settled(context)
        pulling = threading.Timer(0.2, bench.control.remove, [bench.serials[0]])
        pulling.start()
        assert 0.1 < seconds_of(context, LONG) < SOON
        pulling.join()
        assert seconds_of(context, LONG) < SOON, "it was not looked at since"
        assert [state.present for state in context.states()].count(False) == 1
        bench.control.insert(bench.serials[0])
        assert seconds_of(context, LONG) < SOON


def test_a_wait_is_ended_from_another_thread(bench: VirtualBench) -> None:
    """As by a turn that is over."""
    with Context() as context:
        settled(context)
        ending = threading.Timer(0.2, context.stop_waiting)
        ending.start()
        assert 0.1 < seconds_of(context, LONG) < SOON
        ending.join()


def test_a_wait_is_never_too_short_nor_too_long(bench: VirtualBench) -> None:
    """A loop around it neither spins nor hangs, with a reader and without."""
    with Context() as context:
        settled(context)
        assert 0.2 <= seconds_of(context, 0.2) < SOON
        bench.control.unplug_reader(0)
        bench.control.unplug_reader(1)
        assert seconds_of(context, LONG) >= SHORTEST_WAIT, "the readers that it knew are gone"
        assert context.states() == ()
        assert 0.2 <= seconds_of(context, 0.2) < SOON


def listed_but_gone(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """The next lists of readers hold one that has just left; the looks that were taken at them."""
    listing, looks = scard.SCardListReaders, []

    def lists(*call: Any) -> Any:
        looks.append(len(looks))
        hresult, names = listing(*call)
        return (hresult, [*names, "one that has just left"] if len(looks) <= times else names)

    monkeypatch.setattr(scard, "SCardListReaders", lists)
    return looks


def test_a_reader_that_leaves_takes_no_other_along(
    bench: VirtualBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list and the look: the others are looked at again, and not taken for gone."""
    with Context() as context:
        before = {state.name for state in context.states() if state.present}
        looks = listed_but_gone(monkeypatch, 2)
        assert {state.name for state in context.states() if state.present} == before != set()
        assert len(looks) == 3


def test_readers_that_never_settle_are_an_error(
    bench: VirtualBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What never ends is told, and nothing is made of it."""
    with Context() as context:
        looks = listed_but_gone(monkeypatch, 100_000)
        with pytest.raises(PcscUnavailable, match="in a row"):
            context.states()
        assert len(looks) == LOOKS


def without_power(monkeypatch: pytest.MonkeyPatch, times: int) -> list[float]:
    """From now on a token has no power so many times; the moments at which it was asked."""
    connect, asked = scard.SCardConnect, []

    def connecting(*call: Any) -> Any:
        asked.append(time.monotonic())
        return (Code.UNPOWERED_CARD, 0, 0) if len(asked) <= times else connect(*call)

    monkeypatch.setattr(scard, "SCardConnect", connecting)
    return asked


def test_a_token_without_power_yet_is_asked_again(
    bench: VirtualBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As between its insertion and its answer to reset."""
    with Context() as context:
        (reader, *_) = context.readers()
        asked = without_power(monkeypatch, 3)
        connection = context.connect(reader)
        assert connection.atr
        connection.close()
        assert len(asked) == 4


def test_a_token_that_never_has_power_is_given_up(
    bench: VirtualBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a card that was put in upside down."""
    with Context() as context:
        (reader, *_) = context.readers()
        asked = without_power(monkeypatch, 100_000)
        with pytest.raises(TokenGone, match="unpowered"):
            context.connect(reader)
        assert asked[-1] - asked[0] >= POWER_UP - SHORTEST_WAIT
