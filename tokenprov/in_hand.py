"""The tokens that have their turn on the line, and where those came back that restart within it.

Rules:
- A token that restarts stays in its turn, whatever reader it comes back in: no other turn takes it
  up meanwhile, and its return is no insertion.
- Two tokens that say the same serial stay two: only one that is waited for is left to its turn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tokenprov.device.pcsc import ReaderState
from tokenprov.device.token import AnyToken


class InHand:
    """Safe for threads."""

    def __init__(self) -> None:
        self._tokens: list[AnyToken] = []
        self._changing = threading.Lock()
        self._moved: list[ReaderState] = []  # where tokens are, and had their turn already
        self._returned: set[tuple[str, int]] = set()  # reader and insertion of restarted ones

    @contextmanager
    def taken_up(self, token: AnyToken) -> Iterator[bool]:
        """Whether it gets this turn: not so while another turn waits for it to come back."""
        with self._changing:
            awaited = any(
                one.restarting and one.id.serial == token.id.serial for one in self._tokens
            )
            if not awaited:
                self._tokens.append(token)
        try:
            yield not awaited
        finally:
            if not awaited:
                with self._changing:
                    if token.moved is not None:
                        self._returned.add((token.moved.name, token.moved.events))
                        self._moved.append(token.moved)
                    self._tokens.remove(token)

    @property
    def restarting(self) -> bool:
        """Whether a token is away, and waited for."""
        with self._changing:
            return any(token.restarting for token in self._tokens)

    def came_back(self, reader: str, insertion: int) -> bool:
        """Whether that insertion was a token's return from a restart, within its turn."""
        with self._changing:
            if (reader, insertion) in self._returned:
                return True
            moved = [token.moved for token in self._tokens]
        return any(one and (one.name, one.events) == (reader, insertion) for one in moved)

    def served(self, states: Sequence[ReaderState]) -> None:
        """Tokens are in these readers that had their turn elsewhere."""
        with self._changing:
            self._moved += states

    def take_served(self, now: Sequence[ReaderState]) -> list[ReaderState]:
        """What `served` and restarts left since the last call; `now` are all readers."""
        with self._changing:
            self._returned &= {(state.name, state.events) for state in now if state.present}
            served, self._moved = self._moved, []
        return served
