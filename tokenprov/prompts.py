"""What a person at the station is asked to do with a token, told by events.

Each prompt names reader, token and holder, where it is somebody's yet, and ends by itself: who asks
sets the time, and goes on or stops that token when it is over. Nothing that a keyboard sends is an
answer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tokenprov import events
from tokenprov.events import Listener


@dataclass(frozen=True, slots=True)
class StationOperator:
    """Implements `step.Operator` by events: the screen tells the person."""

    listener: Listener
    holder: Callable[[], str] = lambda: ""  # whose token this thread works on

    @contextmanager
    def touch(self, reader: str, label: str, reason: str) -> Iterator[None]:
        """Say that the token waits, and when it no longer does."""
        holder = self.holder()
        self.listener(events.TouchWanted(reader=reader, label=label, holder=holder, reason=reason))
        try:
            yield
        finally:
            self.listener(events.TouchDone(reader=reader))

    @contextmanager
    def reinsert(self, reader: str, label: str, reason: str, seconds: float) -> Iterator[None]:
        """Say which token is to be taken out and put in again, and when it is there."""
        holder = self.holder()
        self.listener(
            events.ReinsertWanted(
                reader=reader, label=label, holder=holder, reason=reason, seconds=seconds
            )
        )
        try:
            yield
        finally:
            self.listener(events.ReinsertDone(reader=reader))
