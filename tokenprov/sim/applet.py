"""What an applet of a virtual token is, and what the token lends it.

The token (token.py) parses APDUs, selects, and does command and response chaining; an applet sees
whole commands only. An applet keeps its lasting state in plain data that `dump` gives and `load`
takes, so that a token can be kept in a file, and its volatile state (verified PINs, sessions) in
attributes that `power_up` clears.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tokenprov.sim.apdu import Command

Version = tuple[int, int, int]


@dataclass(kw_only=True)
class Body:
    """What every applet of one token shares: the device around the applets.

    `touch` waits for the user's presence and says whether it came. `random` gives that many random
    bytes, `clock` is monotonic seconds, `spend(operation)` lets the time pass that a real token
    would need (for example "rsa2048", "p256", "pin"). `powered_at` is the clock at power-up (the
    FIDO reset window is measured from it). `save` makes the lasting state durable; an applet calls
    it after every change.
    """

    version: Version
    serial: int | None
    random: Callable[[int], bytes]
    clock: Callable[[], float]
    touch: Callable[[], bool]
    spend: Callable[[str], None]
    save: Callable[[], None]
    powered_at: float = 0.0


class Applet(Protocol):
    """One application on the token, selected by its AID (ISO/IEC 7816-4, 11.3)."""

    name: str  # "piv": the key of its state in the token's file
    aid: bytes  # selected by this AID or any prefix of it that ISO allows

    def select(self) -> bytes:
        """Make it current and give the answer to SELECT. Raises `Refusal`."""
        ...

    def deselect(self) -> None:
        """Another applet was selected: forget what holds only while selected."""
        ...

    def process(self, command: Command) -> bytes:
        """Answer one whole command (never SELECT, never GET RESPONSE). Raises `Refusal`."""
        ...

    def power_up(self) -> None:
        """The token got power or was reset: forget all volatile state."""
        ...

    def dump(self) -> dict[str, Any]:
        """The lasting state as JSON-able data (bytes as hex)."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        ...
