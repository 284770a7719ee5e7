"""The finger on the token: when a touch comes, if it comes at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class TouchMode(Enum):
    """When a touch comes: at once, after some seconds, or only when `press` is called."""

    AUTO = "auto"
    AFTER = "after"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchPolicy:
    """`after` is the delay of AFTER and `patience` how long the token blinks, both in seconds."""

    mode: TouchMode = TouchMode.AUTO
    after: float = 0.0
    patience: float = 15.0

    @classmethod
    def parse(cls, text: str, *, patience: float = 15.0) -> TouchPolicy:
        """Read `auto`, `never` or `after SECONDS` (also `after:SECONDS`). Raises `ValueError`."""
        word, _, rest = text.strip().replace(":", " ").partition(" ")
        mode = TouchMode(word)
        if mode is not TouchMode.AFTER:
            if rest:
                raise ValueError(f"nothing may follow {word!r}")
            return cls(mode=mode, patience=patience)
        after = float(rest)
        if not 0 <= after < 3600:
            raise ValueError("the delay of a touch is between 0 and 3600 seconds")
        return cls(mode=mode, after=after, patience=patience)

    def __str__(self) -> str:
        return f"after {self.after:g}" if self.mode is TouchMode.AFTER else self.mode.value


class Finger:
    """Answers whether the touch came, and can be told to press, or that the token is gone."""

    def __init__(self, policy: TouchPolicy) -> None:
        self.policy = policy
        self._wake = threading.Condition()
        self._pressed = False
        self._gone = self._cancelled = False
        self._pulls = 0
        self.waiting = False  # whether the token blinks now
        self.asked = 0  # how many touches were asked for so far

    def wait(self) -> bool:
        """Blink until touched. False when nobody came in time, or the token was pulled."""
        policy = self.policy
        self.asked += 1
        if policy.mode is TouchMode.AUTO:
            return not self._gone
        patience = policy.patience
        if policy.mode is TouchMode.AFTER:
            patience = min(policy.after, patience)
        with self._wake:
            self._pressed = self._cancelled = False
            gone = self._gone_since()
            self.waiting = True
            self._wake.wait_for(lambda: self._pressed or gone() or self._cancelled, patience)
            self.waiting = False
            if gone() or self._cancelled:
                return False
            in_time = policy.mode is TouchMode.AFTER and policy.after <= policy.patience
            return self._pressed or in_time

    def sleep(self, seconds: float) -> None:
        """Let time pass, unless the token is pulled meanwhile."""
        if seconds > 0:
            with self._wake:
                self._wake.wait_for(self._gone_since(), seconds)

    def _gone_since(self) -> Callable[[], bool]:
        """Tells whether it was pulled since now, also where it is back by then."""
        pulls = self._pulls
        return lambda: self._gone or self._pulls != pulls

    def press(self) -> None:
        """Touch the token once, now."""
        with self._wake:
            self._pressed = True
            self._wake.notify_all()

    def cancel(self) -> None:
        """Whoever asked for a touch wants it no more."""
        with self._wake:
            self._cancelled = True
            self._wake.notify_all()

    def pulled(self) -> None:
        """The token was pulled: whoever waits stops waiting."""
        with self._wake:
            self._gone = True
            self._pulls += 1
            self._wake.notify_all()

    def plugged(self) -> None:
        """The token is back."""
        with self._wake:
            self._gone = False
