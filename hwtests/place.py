"""Where the token is: taken out, put in again, and waited for while the operator has time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NoReturn

from hwtests.connections import filled
from hwtests.errors import Abandoned
from hwtests.operators import UNNUMBERED, Operator
from tokenprov.cli.readers import choose_reader, seen
from tokenprov.errors import TokenGone

POLL = 0.1  # seconds
GO_ON = "With the token in, run the same command: it finishes what was begun."


class Place:
    """The place of one token; None: the one without a serial, which is the only one there."""

    def __init__(self, serial: str | None, operator: Operator, patience: float) -> None:
        """`patience`: seconds that the operator has to take the token out or put it in."""
        self._serial, self._operator, self._patience = serial, operator, patience
        self.abandoned = False  # whether the operator did not do what the token needs

    @property
    def token(self) -> str:
        """What the operator calls it."""
        return self._serial or UNNUMBERED

    @property
    def reader(self) -> str:
        """The reader, or the place on the bus. Raises `TokenGone`."""
        return choose_reader(None, self._serial)

    def reinsert(self, reader: str) -> None:
        """Out of that reader and in again; whoever asked for it sees that it is in."""
        self._operator.remove(self.token)
        self._wait(lambda: reader not in filled(), f"{self.token} is not taken out")
        self._operator.insert(self.token)

    def pull(self) -> None:
        """Take it out, now."""
        self._operator.remove(self.token)

    def push(self) -> None:
        """Put it in, and wait until it can be used."""
        self._operator.insert(self.token)
        self.await_there()

    def await_there(self, reader: str = "") -> None:
        """Wait until it can be used; in that reader where one is named."""
        self._wait(lambda: self.is_there(reader), f"{self.token} is not put in")

    def is_there(self, reader: str = "") -> bool:
        """Whether it can be used now; in that reader where one is named."""
        try:
            here = self.reader
        except TokenGone:
            return False
        return not reader or here == reader

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._patience
        while not condition():
            if time.monotonic() > deadline:
                self.abandon(f"{what} within {self._patience:.0f} s{self.instead()}")
            time.sleep(POLL)

    def instead(self) -> str:
        """What is there, in words; none of it is touched."""
        there = [token.label if token else reader for reader, token, _ in seen()]
        return f"; there is {' and '.join(there)}, which is not touched" if there else ""

    def abandon(self, why: str) -> NoReturn:
        """The run ends. Raises `Abandoned`."""
        self.abandoned = True
        raise Abandoned(f"{why}. {GO_ON}")
