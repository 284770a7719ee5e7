"""Who touches, takes out and puts in: a person, or a robot that is spoken to by lines.

A robot is a program that is started with the tests. It reads a line a command and answers each with
a line, `ok` or `error TEXT`, when the deed is done:

    touch TOKEN SECONDS     press it for so many seconds; sent again while it waits
    type TOKEN SLOT         press it once though it does not wait, so that this slot types
    remove TOKEN            take it out
    insert TOKEN            put it in again where it was

TOKEN is the serial, or `-` for a token without one. It ends when its standard input does.
"""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from hwtests.errors import Abandoned, BenchError

TERMINAL = Path("/dev/tty")
BELL = "\a"
UNNUMBERED = "-"
BETWEEN_TOUCHES = 0.3  # seconds; a token may begin to wait a moment after it was said to
POLL = 0.1  # seconds
TYPING_SECONDS = 10  # that a person has for a touch that nobody may see
STROKES_SECONDS = 5  # that keystrokes take at most to come
SHORT, LONG = 1, 11  # seconds of a touch; the long one resets a token that wants ten


class Operator(Protocol):
    """Whoever is at the bench. Methods raise `BenchError` when it cannot be done."""

    kind: str

    def touching(self, token: str, reason: str, seconds: int) -> AbstractContextManager[None]:
        """While entered, the token waits to be touched, for `seconds` each time."""
        ...

    def type(self, token: str, slot: int, heard: Callable[[], bool]) -> None:
        """Touch it once though it does not wait, so that this slot types, or ask for that.

        `heard`: whether it was seen to be done; it may be that nobody can see it.
        """
        ...

    def remove(self, token: str) -> None:
        """Take it out, or ask for that."""
        ...

    def insert(self, token: str) -> None:
        """Put it in again, or ask for that."""
        ...

    def close(self) -> None:
        """Nothing more is asked."""
        ...


class Person:
    """Is asked on the terminal, whatever the tests' output goes to."""

    kind = "person"

    def __init__(self, terminal: TextIO | None = None) -> None:
        try:
            self._terminal = terminal or TERMINAL.open("w", encoding="utf-8")
        except OSError as error:
            raise BenchError(
                "nobody is at a terminal: name a robot with --operator-command"
            ) from error

    @contextmanager
    def touching(self, token: str, reason: str, seconds: int) -> Iterator[None]:
        """Asked for once; said when it is over."""
        how = "" if seconds == SHORT else f" for {seconds} seconds"
        self._say(f"{BELL}>>> touch {token}{how} now ({reason})")
        yield
        self._say("    thank you, no longer")

    def type(self, token: str, slot: int, heard: Callable[[], bool]) -> None:
        """Asked for; a moment is given for it, as it may be that nobody sees that it is done."""
        how = {1: "briefly", 2: "for three seconds"}[slot]
        self._say(f"{BELL}>>> touch {token} {how}, once, in the next {TYPING_SECONDS} seconds")
        until = time.monotonic() + TYPING_SECONDS
        while time.monotonic() < until and not heard():
            time.sleep(POLL)
        self._say("    thank you, no longer")

    def remove(self, token: str) -> None:
        """Asked for; the bench sees when it is done."""
        self._say(f"{BELL}>>> take {token} out")

    def insert(self, token: str) -> None:
        """Asked for; the bench sees when it is done."""
        self._say(f"{BELL}>>> put {token} in again where it was")

    def close(self) -> None:
        """Nothing more is said."""
        self._terminal.close()

    def _say(self, text: str) -> None:
        self._terminal.write(f"\r\n{text}\r\n")
        self._terminal.flush()


class Robot:
    """A command that keeps the protocol above. Usable from several threads."""

    kind = "robot"

    def __init__(self, command: str) -> None:
        self._command = command
        self._lock = threading.Lock()
        try:
            self._process = subprocess.Popen(
                shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise BenchError(f"the robot {command!r} cannot be started: {error}") from error

    @contextmanager
    def touching(self, token: str, reason: str, seconds: int) -> Iterator[None]:
        """Pressed again and again until it is over."""
        over = threading.Event()
        failed: list[BenchError] = []

        def press() -> None:
            while not over.is_set():
                try:
                    self._do(f"touch {token} {seconds}")
                except BenchError as error:
                    failed.append(error)
                    return
                over.wait(BETWEEN_TOUCHES)

        thread = threading.Thread(target=press)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failed:
            raise failed[0]

    def type(self, token: str, slot: int, heard: Callable[[], bool]) -> None:
        """Pressed when it returns; the keystrokes have a moment to come."""
        self._do(f"type {token} {slot}")
        until = time.monotonic() + STROKES_SECONDS
        while time.monotonic() < until and not heard():
            time.sleep(POLL)

    def remove(self, token: str) -> None:
        """Done when it returns."""
        self._do(f"remove {token}")

    def insert(self, token: str) -> None:
        """Done when it returns."""
        self._do(f"insert {token}")

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _do(self, line: str) -> None:
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        with self._lock:
            try:
                asked.write(f"{line}\n")
                asked.flush()
                answer = answers.readline().strip()
            except OSError as error:
                raise Abandoned(f"the robot is gone at {line!r}: {error}") from error
        if not answer:
            raise Abandoned(f"the robot ended at {line!r}")
        if answer != "ok":
            raise BenchError(f"the robot says {answer!r} to {line!r}")
