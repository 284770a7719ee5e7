"""Badge codes from standard input: a line with a holder's id names whom the next token is for.

Rules:
- A security key is a keyboard too, and what it types is never taken for a badge: lines of the
  modhex alphabet as long as an OTP, and lines of six or eight digits, which is what HOTP types
  (RFC 4226, 5.3). Where holders' ids are such numbers, a prefix that badges have and keys do not
  tells them apart: with one, lines without it are passed over.
- A line that is nobody's id is not repeated anywhere: it may be a password that a key typed.
"""

from __future__ import annotations

import os
import re
import select
import threading
from collections.abc import Callable
from types import TracebackType

from tokenprov import events
from tokenprov.events import Listener

_MODHEX = re.compile(r"[cbdefghijklnrtuv]{32,}", re.ASCII | re.IGNORECASE)
_HOTP = re.compile(r"[0-9]{6}([0-9]{2})?", re.ASCII)
_POLL = 0.2  # seconds
_LONGEST = 1000  # bytes of a line; more is no badge


def badge_of(line: str, prefix: str) -> str | None:
    """The holder's id that a line says; None where a key may have typed it."""
    text = line.strip()
    if prefix:
        rest = text.removeprefix(prefix).strip()
        return rest if text.startswith(prefix) and rest else None
    if not text or _MODHEX.fullmatch(text) or _HOTP.fullmatch(text):
        return None
    return text


class Badges:
    """Reads lines of a file descriptor in a thread of its own, while its block lasts."""

    def __init__(
        self,
        descriptor: int,
        prefix: str,
        name: Callable[[str], tuple[str, int] | None],
        listener: Listener,
    ) -> None:
        """`name` takes a holder's id, and gives their name and how many orders are next; None for
        an id that is nobody's, or whose orders are done.
        """
        self._descriptor, self._prefix = descriptor, prefix
        self._name, self._listener = name, listener
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, name="badges", daemon=True)

    def __enter__(self) -> Badges:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _read(self) -> None:
        pending = b""
        while not self._end.is_set():
            if not select.select([self._descriptor], [], [], _POLL)[0]:
                continue
            data = os.read(self._descriptor, 4096)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            pending = pending[-_LONGEST:]
            for line in lines:
                self._take(line.decode("utf-8", "replace"))

    def _take(self, line: str) -> None:
        if not line.strip():
            return
        badge = badge_of(line, self._prefix)
        if badge is None:
            self._listener(events.ScanIgnored(reason="a key may have typed it"))
            return
        named = self._name(badge)
        if named is None:
            self._listener(events.ScanIgnored(reason="it is no holder with an open order"))
            return
        self._listener(events.HolderNamed(holder=named[0], orders=named[1]))
