"""Threads of a token on the bus: one for each interface, and a beat while something takes long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue


class Worker:
    """Does jobs in their turn, in a thread of its own, until it is closed."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        """Have this done after what waits already."""
        self._jobs.put(job)

    def close(self) -> None:
        """End the thread after what waits already."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


@contextmanager
def beating(seconds: float, beat: Callable[[], None]) -> Iterator[None]:
    """Call `beat` every so many seconds while the block runs."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            beat()

    thread = threading.Thread(target=run, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
