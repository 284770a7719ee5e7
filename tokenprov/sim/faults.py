"""Faults on demand: what goes wrong at the Nth command from now.

A fault is told to the contact of a token and fires once. "Committed" means that the token carried
the command out, whatever the client got to hear.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tokenprov.sim.apdu import SW


class FaultKind(Enum):
    """What goes wrong."""

    UNPLUG_BEFORE = "unplug-before"  # the token is pulled and never sees the command
    UNPLUG_DURING = "unplug-during"  # committed, then pulled before it answered
    UNPLUG_AFTER = "unplug-after"  # answered, then pulled
    ANSWER_LOST = "answer-lost"  # committed; the reader reports an error, the token stays
    RESET_BEFORE = "reset-before"  # the card was reset behind the client's back
    GARBAGE = "garbage"  # committed; the answer is noise
    TRUNCATED = "truncated"  # committed; half of the answer arrives
    DELAY = "delay"  # committed; the answer comes `seconds` late
    MEMORY_FULL = "memory-full"  # refused: no memory left


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `at` counts commands from now, 1 is the next one; `seconds` is for DELAY.

    With `ins`, only commands with that instruction count.
    """

    kind: FaultKind
    at: int = 1
    seconds: float = 0.0
    ins: int | None = None

    def __post_init__(self) -> None:
        if self.at < 1 or self.seconds < 0:
            raise ValueError("a fault is at a command from 1 on, and a delay is not negative")


class FaultPlan:
    """The faults that wait at one token."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []  # with the commands that are still to pass

    def add(self, fault: Fault) -> None:
        """Have this fault happen too."""
        self._waiting.append((fault, fault.at))

    def clear(self) -> None:
        """Forget all that wait."""
        self._waiting.clear()

    def take(self, raw: bytes) -> Fault | None:
        """Count one command; give the fault that is due, the earliest told first."""
        due: Fault | None = None
        still: list[tuple[Fault, int]] = []
        for fault, left in self._waiting:
            counts = fault.ins is None or (len(raw) > 1 and raw[1] == fault.ins)
            left -= counts
            if left <= 0 and due is None:
                due = fault
            else:
                still.append((fault, max(left, 1)))
        self._waiting = still
        return due


FIDO_COMMAND = (0x80, 0x10)  # class and instruction of CTAP over ISO 7816
CTAP_KEY_STORE_FULL = b"\x28"  # CTAP 2.1, 6.3


def memory_full_answer(raw: bytes) -> bytes:
    """What a token without memory says: in CTAP its own status, else 6A84."""
    if len(raw) > 1 and (raw[0] & 0xEF, raw[1]) == FIDO_COMMAND:
        return CTAP_KEY_STORE_FULL + SW.OK.to_bytes(2, "big")
    return SW.NO_SPACE.to_bytes(2, "big")
