"""Hears what a command says on standard error, and has the operator do what it asks for.

Commands that ask something of a person are run with `--json`: each thing that happens is a line
(docs/json.md). What is done is done beside the command, in threads of its own, as people do.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from hwtests.errors import BenchError
from hwtests.operators import LONG, SHORT, Operator
from tests.stations import Said

TEN_SECONDS = "ten seconds long"  # in the reason for a touch that resets some tokens
AFTERWARDS = ("OrderFailed", "OrderWaits", "TokenGivenUp", "BatchPaused")  # what comes of it


class Ears(io.StringIO):
    """A command's standard error. `ended` waits for what was begun, and raises what failed."""

    def __init__(
        self,
        operator: Operator,
        token: str,
        reinsert: Callable[[str], None],  # in that reader
        hook: Callable[[dict[str, Any]], None] = lambda event: None,
    ) -> None:
        super().__init__()
        self.asked: list[str] = []  # the reasons, in order
        self.in_vain = False  # whether nothing was done since the last touch was asked for
        self._operator, self._token = operator, token
        self._reinsert, self._hook = reinsert, hook
        self._threads: list[threading.Thread] = []
        self._touching: dict[str, ExitStack] = {}
        self._failed: list[BenchError] = []

    def write(self, text: str) -> int:
        """One line, or a part of what is for people."""
        if text.startswith('{"event"'):
            self._hear(json.loads(text))
        return super().write(text)

    def _hear(self, event: dict[str, Any]) -> None:
        self._hook(event)
        if event["event"] not in AFTERWARDS:
            self.in_vain = event["event"] == "TouchDone"
        match event["event"]:
            case "TouchWanted":
                self._begin_touching(event["reader"], event["reason"])
            case "TouchDone":
                self._end_touching(event["reader"])
            case "ReinsertWanted":
                self.asked.append(event["reason"])
                self._beside(partial(self._reinsert, event["reader"]))

    def _begin_touching(self, reader: str, reason: str) -> None:
        self.asked.append(reason)
        seconds = LONG if TEN_SECONDS in reason else SHORT
        held = ExitStack()
        held.enter_context(self._operator.touching(self._token, reason, seconds))
        self._touching[reader] = held

    def _end_touching(self, reader: str) -> None:
        held = self._touching.pop(reader, None)
        if held is not None:
            self._tried(held.close)

    def _beside(self, deed: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._tried, args=(deed,))
        self._threads.append(thread)
        thread.start()

    def _tried(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        except BenchError as error:
            self._failed.append(error)

    def ended(self) -> None:
        """The command has ended. Raises `BenchError` where the operator could not do it."""
        for reader in list(self._touching):
            self._end_touching(reader)
        for thread in self._threads:
            thread.join()
        if self._failed:
            raise self._failed[0]


def well(said: Said, code: int | None = 0) -> Said:
    """What a command said. Raises `BenchError` for another exit code; None: any."""
    if code is not None and said.code != code:
        raise BenchError(f"tokenprov gave {said.code}, not {code}: {_why(said)}")
    return said


def _why(said: Said) -> str:
    """What a command told people, and the reasons that stand in what happened."""
    told = [line for line in said.err.splitlines() if not line.startswith("{")]
    reasons = [f"{one['reason']} {one['remedy']}" for one in said.events if "remedy" in one]
    return " ".join(text.strip() for text in [*reasons, *told])
