"""What a person at the station is asked to do with a token, told by events.

Each prompt names reader and token, and ends by itself: who asks sets the time, and goes on or stops
that token when it is over. Nothing that a keyboard sends is an answer to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tokenprov import events
from tokenprov.events import Listener


@dataclass(frozen=True, slots=True)
class StationOperator:
    """Implements `step.Operator` by events: the screen tells the person."""

    listener: Listener

    @contextmanager
    def touch(self, reader: str, label: str, reason: str) -> Iterator[None]:
        """Say that the token waits, and when it no longer does."""
        self.listener(events.TouchWanted(reader=reader, label=label, reason=reason))
        try:
            yield
        finally:
            self.listener(events.TouchDone(reader=reader))

    @contextmanager
    def reinsert(self, reader: str, label: str, reason: str, seconds: float) -> Iterator[None]:
        """Say which token is to be taken out and put in again, and when it is there."""
        wanted = events.ReinsertWanted(reader=reader, label=label, reason=reason, seconds=seconds)
        self.listener(wanted)
        try:
            yield
        finally:
            self.listener(events.ReinsertDone(reader=reader))
