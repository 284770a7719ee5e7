"""The readers of the line, a lane each: what is in them, and which insertion had its turn.

Rules:
- An insertion is served once. A reader that is unplugged keeps its lane until its turn has ended.
- pcscd may be restarted under us: a new context is made, a bounded number of times, and whatever
  was in hand is looked at again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from tokenprov import events
from tokenprov.device.pcsc import ReaderState
from tokenprov.device.sources import Readers, Source
from tokenprov.device.watch import Watch
from tokenprov.errors import PcscUnavailable
from tokenprov.events import Listener
from tokenprov.in_hand import InHand

POLL = 0.1  # seconds between looks at the readers, at most
SERVICE_TRIES = 10  # new contexts, a second apart, when pcscd is gone
NO_INSERTION = -1  # ReaderState.events that no token has


@dataclass(slots=True)
class Lane:
    """One reader: the turn that is running, and the insertion that was served last."""

    reader: str
    turn: Future[None] | None = None
    watch: Watch = field(default_factory=Watch)  # on the turn
    served: int | None = None  # ReaderState.events of the token that had its turn


class Lanes:
    """For the one thread that starts turns; `wake` may be called by any."""

    def __init__(self, source: Source, in_hand: InHand, listener: Listener) -> None:
        self._source, self._in_hand, self._listener = source, in_hand, listener
        self._lanes: dict[str, Lane] = {}
        self._context: Readers | None = None

    @property
    def running(self) -> list[tuple[Lane, Future[None]]]:
        """Those with a turn, and the turn."""
        return [(lane, lane.turn) for lane in self._lanes.values() if lane.turn is not None]

    def waiting(self) -> Iterator[Lane]:
        """The free lanes in which an insertion waits for its turn; it counts as served then.

        Raises `PcscUnavailable` where the service stays away.
        """
        states = self._states()
        for gone in self._lanes.keys() - {state.name for state in states}:
            if self._lanes[gone].turn is None:
                del self._lanes[gone]
                self._listener(events.ReaderGone(reader=gone))
            else:  # pcscd counts anew where a reader comes back: it may come to the same number
                self._lanes[gone].served = NO_INSERTION
        for back in self._in_hand.take_served(states):
            self._lanes.setdefault(back.name, Lane(reader=back.name)).served = back.events
        for state in states:
            if state.name not in self._lanes:
                self._lanes[state.name] = Lane(reader=state.name)
                self._listener(events.ReaderSeen(reader=state.name))
            lane = self._lanes[state.name]
            if lane.turn is not None:
                continue
            if not state.present:
                if lane.served is not None:
                    lane.served = None
                    self._listener(events.ReaderSeen(reader=state.name))
            elif lane.served != state.events:
                lane.served, lane.watch = state.events, Watch()
                yield lane

    def wait(self) -> None:
        """Until a token comes or goes, or `wake`."""
        if self._context is None:
            time.sleep(POLL)
        else:
            self._context.wait(POLL)

    def wake(self) -> None:
        """End a `wait` now, if there is one."""
        context = self._context
        if context is not None:
            context.stop_waiting()

    def close(self) -> None:
        """Give the readers back."""
        context, self._context = self._context, None
        if context is not None:
            context.close()

    def _states(self) -> tuple[ReaderState, ...]:
        """The readers; a dead service is waited for."""
        for attempt in range(1, SERVICE_TRIES + 1):
            try:
                if self._context is None:
                    self._context = self._source.readers()
                return self._context.states()
            except PcscUnavailable as error:
                self.close()
                if attempt == SERVICE_TRIES:
                    raise
                for lane in self._lanes.values():
                    lane.served = None
                self._listener(events.ServiceLost(reason=error.message, attempt=attempt))
                time.sleep(1.0)
        raise AssertionError("the last attempt returns or raises")
