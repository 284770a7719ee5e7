"""What a turn needs no token for, done in a thread of its own while the token computes.

Rules:
- Nothing that decides whether a token is ours is done so, and nothing is told to a token by it.
- Whoever needs what comes of it waits for it first, and gets its error there.
- What nobody waits for has changed nothing: it draws, computes, or replaces what can be replaced
  again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def meanwhile(work: Callable[[], Result]) -> Future[Result]:
    """Begin it now; `result` waits for its end, and raises what it raised."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="meanwhile")
    future = executor.submit(work)
    executor.shutdown(wait=False)  # its thread ends with the work
    return future
