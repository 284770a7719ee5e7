"""The connection to one token, and how it is found again after it restarted.

A YubiKey whose interfaces were changed restarts: it leaves the bus and comes back, perhaps in a
reader of another name (libccid calls readers after the interfaces). Rules:

- It is known by its serial alone, read on the new connection, whatever its reader is called.
- It counts as back only once it was seen to go, or `GRACE` seconds passed: a connection made before
  would be to the token that is about to leave.
- One that leaves its reader for good, or had none, is not waited for: it comes back as an
  insertion in another place, and is known there by what it says (`moving`).
- A reader that another program or lane uses is left alone; another token is asked for its serial
  at most once an insertion.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from tokenprov.device.management import device_info
from tokenprov.device.pcsc import Context, PcscConnection, ReaderState, connected
from tokenprov.device.watch import Watch
from tokenprov.errors import (
    NotSupported,
    ReaderBusy,
    TokenError,
    TokenGone,
    TokenMoved,
    TokenReset,
)
from tokenprov.model import TokenId

PATIENCE = 15.0  # seconds that a token may take to restart
GRACE = 3.0  # seconds after which one that was not seen to go is taken to have stayed
POLL = 0.05  # seconds between looks at the readers


def moving(token: TokenId) -> Callable[[], None]:
    """What is called when a token restarts whose place is another one afterwards."""

    def moved() -> None:
        raise TokenMoved(
            f"token {token.label} restarts, and comes back on other interfaces",
            remedy="Run the same command again, if it does not go on by itself.",
        )

    return moved


class Link:
    """An exclusive connection to the token in a reader, and to the same token after a restart.

    `moved` is its reader and the insertion in it, where it is not the one that it began with.
    """

    def __init__(
        self,
        reader: str,
        *,
        watch: Watch | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._reader, self._clock, self._sleep = reader, clock, sleep
        self._held, self._watched = ExitStack(), watch
        self._before: int | None = None  # ReaderState.events before it restarts
        self.moved: ReaderState | None = None

    def __enter__(self) -> Link:
        self.connection = self._held.enter_context(connected(self._reader, self._watched))
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def watch(self, serial: str | None) -> None:
        """To be called before the token restarts. Raises `NotSupported` where it has no serial."""
        if serial is None:
            raise NotSupported(
                "a token without a serial cannot be told from another one after it restarts",
                remedy="Take the interfaces out of the profile, or use a token with a serial.",
            )
        with Context() as watching:
            self._before = self._insertion(watching.reader_states())

    def again(self, serial: str) -> PcscConnection:
        """The connection after the restart, the old one closed. Raises `TokenGone`."""
        self._held.close()
        settled: dict[str, int] = {}
        began, left = self._clock(), False
        with Context() as watching:
            while self._clock() - began < PATIENCE:
                states = watching.reader_states()
                left = left or self._insertion(states) != self._before
                for state in states if left or self._clock() - began >= GRACE else ():
                    if not state.present or state.in_use:
                        continue
                    if settled.get(state.name) == state.events:
                        continue
                    found = self._found(state, serial)
                    if found:
                        return self.connection
                    if found is False:
                        settled[state.name] = state.events
                self._sleep(POLL)
        raise TokenGone(
            f"token {serial} did not come back within {PATIENCE:.0f} s after it restarted",
            remedy="Take it out and insert it again; the work goes on where it was.",
        )

    def _insertion(self, states: tuple[ReaderState, ...]) -> int | None:
        """Which insertion is in the reader; None where there is no token, or no reader."""
        return next(
            (one.events for one in states if one.name == self._reader and one.present), None
        )

    def _found(self, state: ReaderState, serial: str) -> bool | None:
        """Whether that token is in that reader, and then connected; None for a later look."""
        with ExitStack() as trying:
            try:
                connection = trying.enter_context(connected(state.name, self._watched))
                found = device_info(connection).serial
            except (TokenGone, TokenReset, ReaderBusy):
                return None
            except TokenError:  # whatever it is, it is not ours
                return False
            if str(found) != serial:
                return False
            self._held = trying.pop_all()
        self.connection, self._reader, self.moved = connection, state.name, state
        return True
