"""The keyboards of the YubiKeys that are plugged in, kept from everybody else.

A touched OTP slot types, into whatever has the focus: a shell, or a line that a badge reader would
have written. While `Keyboards` is open those keystrokes go nowhere (EVIOCGRAB, linux/input.h).

Rules:
- All that are there are taken, whoever's they are: a station touches keys that it is done with too.
- One that comes later is taken at the next `hold`; one that was pulled is forgotten.
- A keyboard that may not be opened, or that another program has taken, stays as it is, and is told
  once.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenprov.device.hid import plugged_in
from tokenprov.device.usb import UsbToken

GRAB = 0x40044590  # EVIOCGRAB
RIGHTS_LOOKS = 20  # looks within which udev gives a new node its rights


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing:
    """A keyboard that was not taken: what its key types goes to whoever listens."""

    place: str  # where the key is plugged in
    node: Path
    reason: str


class Keyboards:
    """For the one thread that calls `hold` again and again. Closing lets all of them go."""

    def __init__(self, find: Callable[[], tuple[UsbToken, ...]] = plugged_in) -> None:
        self._find = find
        self._taken: dict[tuple[int, Path], int] = {}  # by insertion and node: the open file
        self._refused: dict[tuple[int, Path], int] = {}  # likewise: how often it was tried

    def hold(self) -> tuple[Typing, ...]:
        """Take those that came; gives the ones that cannot be taken, each once."""
        there = {(key.number, node): key for key in self._find() for node in key.keyboards}
        for gone in self._taken.keys() - there.keys():
            os.close(self._taken.pop(gone))
        for gone in self._refused.keys() - there.keys():
            del self._refused[gone]
        told = []
        for place, key in there.items():
            if place in self._taken or self._refused.get(place, 0) >= RIGHTS_LOOKS:
                continue
            try:
                self._taken[place] = _grabbed(place[1])
            except OSError as error:
                tries = self._refused[place] = self._refused.get(place, 0) + 1
                if tries == RIGHTS_LOOKS:
                    reason = error.strerror or str(error)
                    told.append(Typing(place=key.reader, node=place[1], reason=reason))
        return tuple(told)

    def close(self) -> None:
        """Let them all go."""
        while self._taken:
            os.close(self._taken.popitem()[1])


def _grabbed(node: Path) -> int:
    """The node, open and taken. Raises `OSError`."""
    opened = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.ioctl(opened, GRAB, 1)
    except OSError:
        os.close(opened)
        raise
    return opened
