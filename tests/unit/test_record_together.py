"""What several threads have waiting is done in one go, and each gets what came of its own part."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenprov.record.together import Part, Together

THREADS = 8
SECONDS = 30.0  # for a thread to come to where it waits


def doubled(group: Sequence[Part[int, int]]) -> None:
    """Twice each number; an odd one is refused, and a negative one fails all."""
    if any(part.work < 0 for part in group):
        raise OSError("the disk is full")
    for part in group:
        if part.work % 2:
            part.error = ValueError(part.work)
        else:
            part.result = 2 * part.work


def gathered(works: Sequence[int]) -> tuple[list[object], list[int]]:
    """What each thread got, when all of them came while the first was at it; and the groups."""
    lock, sizes, begun, go_on = threading.Lock(), list[int](), threading.Event(), threading.Event()

    def do(group: Sequence[Part[int, int]]) -> None:
        sizes.append(len(group))
        if not begun.is_set():
            begun.set()
            assert go_on.wait(SECONDS)
        doubled(group)

    together = Together[int, int](do, lock)

    def ask(work: int) -> object:
        try:
            return together(work)
        except (ValueError, OSError) as error:
            return repr(error)

    with ThreadPoolExecutor(len(works)) as pool:
        first = pool.submit(ask, works[0])
        assert begun.wait(SECONDS)
        rest = [pool.submit(ask, work) for work in works[1:]]
        while together.waiting < len(rest):
            threading.Event().wait(0.001)
        go_on.set()
        return [future.result() for future in (first, *rest)], sizes


def test_those_who_wait_are_done_together() -> None:
    """One alone, then all who came meanwhile in one group; a refusal is that of one."""
    answers, sizes = gathered([2, *range(4, 4 + THREADS)])
    assert answers == [
        4,
        8,
        "ValueError(5)",
        12,
        "ValueError(7)",
        16,
        "ValueError(9)",
        20,
        "ValueError(11)",
    ]
    assert sizes == [1, THREADS]


def test_a_failure_is_that_of_all_in_the_group() -> None:
    """Nobody is told that something was done which was not; who came before has their answer."""
    answers, _ = gathered([2, 4, -1, 5])
    assert answers == [4, *["OSError('the disk is full')"] * 3]


def test_alone_it_raises_its_own_error() -> None:
    """The error itself, not another that wraps it."""
    together = Together[int, int](doubled, threading.Lock())
    with pytest.raises(ValueError, match="7"):
        together(7)
    assert together(8) == 16
