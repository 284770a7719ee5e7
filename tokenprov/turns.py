"""Threads for the turns of tokens, which end with the line, but for those that were given up.

A line that is interrupted gives all of them up at once; one that ends for another reason waits for
them, as long as each may take.

A thread that waits for a token in a PC/SC call cannot be ended. It is left behind as a daemon, so
that the program ends without it; its watch keeps it from doing anything more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType

from tokenprov.device.watch import Limits, Watch

_POLL = 0.1  # seconds


class Turns:
    """Starts turns; the end of its block waits for all that can still end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: list[tuple[threading.Thread, Watch]] = []

    def submit(
        self, watch: Watch, turn: Callable[[str, int, Watch], None], reader: str, insertion: int
    ) -> Future[None]:
        """Start the turn of the token in a reader."""
        future: Future[None] = Future()

        def work() -> None:
            with _Outcome(future):
                turn(reader, insertion, watch)

        thread = threading.Thread(target=work, name=f"turn in {reader}", daemon=True)
        self._running = [pair for pair in self._running if pair[0].is_alive()]
        self._running.append((thread, watch))
        thread.start()
        return future

    def __enter__(self) -> Turns:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            for _, watch in self._running:
                watch.stop()
        for thread, watch in self._running:
            while thread.is_alive() and not (watch.given_up and watch.waits):
                watch.given_up = watch.given_up or watch.overdue(self._limits)
                thread.join(_POLL)


class _Outcome:
    """Gives a future what its block comes to, an error as well."""

    def __init__(self, future: Future[None]) -> None:
        self._future = future

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            self._future.set_result(None)
        else:
            self._future.set_exception(error)
        return True
