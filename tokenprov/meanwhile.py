"""What a turn needs no token for, done in a thread of its own while the token computes.

Rules:
- Nothing that decides whether a token is ours is done so, and nothing is told to a token by it.
- Whoever needs what comes of it waits for it first, and gets its error there.
- What nobody waits for has changed nothing: it draws, computes, or replaces what can be replaced
  again. It has come to its end when the turn has, whatever ended that.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class Meanwhile:
    """Begins such work; at the end of its block all of it has ended."""

    def __init__(self) -> None:
        self._begun: list[Future[Any]] = []

    def __call__(self, work: Callable[[], Result]) -> Future[Result]:
        """Begin it now; `result` waits for its end, and raises what it raised."""
        executor = ThreadPoolExecutor(1, thread_name_prefix="meanwhile")
        future = executor.submit(work)
        executor.shutdown(wait=False)  # its thread ends with the work
        self._begun.append(future)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for future in self._begun:  # what one of them began is behind it
            wait([future])
