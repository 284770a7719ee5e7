"""One reader: the socket a token sits in, as the IFD handler sees it.

It knows whether a token is there and powered, and lets the faults happen. Commands come from one
thread at a time; tokens come and go from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import IntEnum

from tokenprov.sim.faults import Fault, FaultKind, FaultPlan, memory_full_answer
from tokenprov.sim.token import VirtualToken


class Status(IntEnum):
    """Status of a reply to the IFD handler (ifd/tokenprov_ifd.c)."""

    DONE = 0
    NO_CARD = 1
    BROKEN = 2
    TOO_LATE = 3


class Operation(IntEnum):
    """Operations that the IFD handler asks for (ifd/tokenprov_ifd.c)."""

    POWER_OFF = 0
    POWER_ON = 1
    RESET = 2
    TRANSMIT = 3


class Contact:
    """The contact of one reader. `noticed` is told (from any thread) when a token comes or goes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.faults = FaultPlan()
        self.noticed: Callable[[bool], None] = lambda present: None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._afterwards: list[Callable[[], None]] = []
        self._token: VirtualToken | None = None
        self._away: VirtualToken | None = None
        self._powered = self._met = False
        self._visits = 0

    @property
    def token(self) -> VirtualToken | None:
        """The token that is in, or was last."""
        return self._token or self._away

    @property
    def present(self) -> bool:
        """Whether a token is in."""
        return self._token is not None

    def insert(self) -> None:
        """Put in the token that was pulled or put aside. Raises `ValueError` if there is none."""
        with self._lock:
            entering = self._away
            if self._token is not None:
                raise ValueError("there is a token in the reader")
            if entering is None:
                raise ValueError("there is no token to put in")
            entering.plug()
            self._token, self._away = entering, None
            self._powered = self._met = False
            self._visits += 1
            self.noticed(True)

    def put_aside(self, token: VirtualToken) -> None:
        """Have this token be the one that `insert` puts in. Raises `ValueError` while one is in."""
        with self._lock:
            if self._token is not None:
                raise ValueError("there is a token in the reader")
            self._away = token

    def remove(self) -> None:
        """Pull the token, even in the middle of a command. Nothing happens when there is none."""
        with self._lock:
            if self._token is None:
                return
            self._token.pull()
            self._away, self._token = self._token, None
            self._powered = False
            self.noticed(False)

    def operate(self, operation: Operation, data: bytes) -> tuple[Status, bytes]:
        """Do what the IFD handler asks for."""
        if operation is Operation.TRANSMIT:
            return self._transmit(data)
        with self._lock:
            token = self._token
            if token is None:
                return Status.NO_CARD, b""
            if operation is Operation.POWER_OFF:
                self._powered = False
                return Status.DONE, b""
            self._powered = self._met = True
            self._changed.notify_all()
            return Status.DONE, token.reset()

    def _transmit(self, data: bytes) -> tuple[Status, bytes]:
        with self._lock:
            if self._token is not None and not self._powered:
                return Status.BROKEN, b""
        return self.exchange(data, lambda token: token.transmit(data))

    def exchange(self, raw: bytes, answer: Callable[[VirtualToken], bytes]) -> tuple[Status, bytes]:
        """Have the token answer, and the faults happen that are due at this command.

        `raw` is the command as an APDU, also where it came another way; so is the answer.
        """
        with self._lock:
            token, visit = self._token, self._visits
            if token is None:
                return Status.NO_CARD, b""
            fault = self.faults.take(raw)
        status, given = self._answer(token, raw, fault, answer)
        with self._lock:
            if self._token is not token or self._visits != visit:  # pulled meanwhile
                return Status.BROKEN, b""
        return status, given

    def after_answer(self, action: Callable[[], None]) -> None:
        """Have this done once the answer to the command at hand has left."""
        self._afterwards.append(action)

    def answered(self) -> None:
        """The answer has left: do what was waiting for that."""
        actions, self._afterwards = self._afterwards, []
        for action in actions:
            action()

    def wait_powered(self, seconds: float) -> bool:
        """Wait until the token was powered since it was put in; whether it was in that time.

        It may be without power again by then: pcscd powers it down at the next event of its reader
        when nobody uses it, and up again for whoever connects.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._met, seconds)

    def _answer(
        self,
        token: VirtualToken,
        raw: bytes,
        fault: Fault | None,
        ask: Callable[[VirtualToken], bytes],
    ) -> tuple[Status, bytes]:
        kind = fault.kind if fault is not None else None
        if kind is FaultKind.UNPLUG_BEFORE:
            self.remove()
            return Status.BROKEN, b""
        if kind is FaultKind.MEMORY_FULL:
            return Status.DONE, memory_full_answer(raw)
        if kind is FaultKind.RESET_BEFORE:
            token.reset()
        answer = ask(token)
        if kind is FaultKind.UNPLUG_DURING:
            self.remove()
        if kind is FaultKind.UNPLUG_AFTER:
            self.after_answer(self.remove)
        if kind in (FaultKind.UNPLUG_DURING, FaultKind.ANSWER_LOST):
            return Status.BROKEN, b""
        if kind is FaultKind.GARBAGE:
            return Status.DONE, token.body.random(max(len(answer), 2))
        if kind is FaultKind.TRUNCATED:
            return Status.DONE, answer[: len(answer) // 2]
        if fault is not None and kind is FaultKind.DELAY:
            token.finger.sleep(fault.seconds)
        return Status.DONE, answer
