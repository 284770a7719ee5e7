"""A watch on a turn of one token: how long its command, and all of it, has been going on.

PC/SC has no time limit for a command, and no call that ends one: who watches can only turn away.
The thread that waits is then held back at its next breath, so that nothing more is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tokenprov.errors import StationError, TokenError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds. A command may generate an RSA key, a token wait for a touch and a re-insertion."""

    command: float = 300.0
    token: float = 1200.0


@dataclass(slots=True)
class Watch:
    """On one turn; the thread that talks to the token keeps it, another one looks at it."""

    clock: Callable[[], float] = time.monotonic
    given_up: str = ""  # why
    label: str = ""  # of the token, once it is known
    stopped: bool = False  # for no fault of the token
    _since: float | None = None  # when the command began that is not answered
    _began: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def waits(self) -> bool:
        """Whether a command is not answered."""
        return self._since is not None

    def overdue(self, limits: Limits) -> str:
        """Why it is to be given up, in words; nothing if it is not."""
        now, since = self.clock(), self._since
        if since is not None and now - since > limits.command:
            return f"a command was not answered within {limits.command:.0f} s"
        if now - self._began > limits.token:
            return f"it was not done within {limits.token:.0f} s"
        return ""

    def stop(self) -> None:
        """Give it up because the program is to end now."""
        self.stopped, self.given_up = True, "the program was told to end"

    def sending(self) -> None:
        """To be called before a command. Raises as `check` does."""
        self.check()
        self._since = self.clock()

    def answered(self) -> None:
        """To be called after it. Raises as `check` does."""
        self._since = None
        self.check()

    def check(self) -> None:
        """Raises `TokenError` where it was given up, `StationError` where it was stopped."""
        if self.stopped:
            raise StationError(
                "it was stopped in the middle",
                remedy="Run the same command again: it goes on where it was.",
            )
        if self.given_up:
            raise TokenError(
                f"the token was given up: {self.given_up}",
                remedy="Insert it again: the work goes on where it was. If it stays so, set it"
                " aside.",
            )
