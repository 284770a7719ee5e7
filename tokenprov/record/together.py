"""What several threads are to make durable, done by one of them in one go.

Waiting for the disk once for all who came meanwhile is what keeps many readers busy.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(slots=True, kw_only=True)
class Part(Generic[Work, Result]):
    """One thread's: what is to be done, and what came of it."""

    work: Work
    result: Result | None = None
    error: BaseException | None = None
    ended: bool = False


class Together(Generic[Work, Result]):
    """Hands what waits to `do`, which gives each part its result or its error.

    What `do` raises is the error of all that have none. `lock` is held meanwhile.
    """

    def __init__(
        self, do: Callable[[Sequence[Part[Work, Result]]], None], lock: threading.Lock
    ) -> None:
        self._do, self._lock = do, lock
        self._waiting: list[Part[Work, Result]] = []
        self._queueing = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many wait for the lock, before what they want is begun."""
        return len(self._waiting)

    def __call__(self, work: Work) -> Result:
        """Have it done, by this thread or by one that is at it. Raises what came of it."""
        mine = Part[Work, Result](work=work)
        with self._queueing:
            self._waiting.append(mine)
        with self._lock:
            if not mine.ended:
                with self._queueing:
                    group, self._waiting = self._waiting, []
                self._run(group)
        if mine.error is not None:
            raise mine.error
        return cast(Result, mine.result)  # `do` has given it

    def _run(self, group: Sequence[Part[Work, Result]]) -> None:
        done = False
        try:
            self._do(group)
            done = True
        finally:
            failure = None if done else sys.exception()
            for part in group:
                part.error = part.error or failure
                part.ended = True
