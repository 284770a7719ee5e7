"""What the readers of a bench hang on: a private pcscd, or a USB bus of a virtual machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tokenprov.sim.contact import Contact
from tokenprov.sim.token import VirtualToken


class Wiring(Protocol):
    """Takes the contacts to whoever uses them. Readers are named by their numbers, from 0 on.

    What waits gives up after some seconds with `BenchError`.
    """

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client here."""
        ...

    def start(self) -> None:
        """Begin; what was plugged in before is there then. Raises `SimulatorUnavailable`."""
        ...

    def close(self) -> None:
        """Stop everything."""
        ...

    def restart(self) -> None:
        """Kill the service that clients use, and start another one. Raises `BenchError`."""
        ...

    def plugged(self, number: int) -> bool:
        """Whether that reader is there."""
        ...

    def name_of(self, number: int) -> str:
        """What clients call a reader that is there."""
        ...

    def plug(self, number: int, name: str | None = None) -> None:
        """Show the reader as its token names it, or under another name; or not, by its token.

        Raises `ValueError` for a name that cannot be.
        """
        ...

    def unplug(self, number: int) -> None:
        """Take the reader away, and wait until that is noticed."""
        ...

    def await_gone(self, number: int) -> None:
        """Wait until it is noticed that the token is gone; its reader stays."""
        ...

    def await_power(self, number: int) -> None:
        """Wait until it is noticed that the token is there, and that it is powered."""
        ...

    def type(self, number: int, text: str) -> None:
        """Type on the keyboard of the token in that reader, where it has one there."""
        ...


def token_at(contacts: Mapping[int, Contact], number: int) -> VirtualToken:
    """The token that is at a contact, or was last. Raises `LookupError` where there was none."""
    token = contacts[number].token
    if token is None:
        raise LookupError(f"reader {number} never held a token")
    return token
