"""What a person does at the bench, within the program under test: for `Program.run(world=…)`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tokenprov.prompts import StationOperator
from tokenprov.sim.control import CONTROL_VARIABLE, SimControl
from tokenprov.sim.specs import BenchError

READER = 0


def puts_it_in_again() -> None:
    """The token in the first reader is taken out and put in again whenever that is asked for."""
    asks = StationOperator.reinsert

    @contextmanager
    def asks_and_is_heard(
        self: StationOperator, reader: str, label: str, reason: str, seconds: float
    ) -> Iterator[None]:
        with asks(self, reader, label, reason, seconds):
            threading.Thread(target=_again, daemon=True).start()
            yield

    StationOperator.reinsert = asks_and_is_heard  # type: ignore[method-assign]  # hands for the test


def lies_in_its_reader(control: SimControl) -> None:
    """The same of a token that may have been out when the program was killed."""
    with suppress(BenchError):  # it is in
        control.insert(READER)


def _again() -> None:
    control = SimControl(os.environ[CONTROL_VARIABLE])
    control.remove(READER)
    control.insert(READER)
