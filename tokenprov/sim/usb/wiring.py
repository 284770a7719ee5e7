"""Readers on the USB bus of a virtual machine: a port each, with the token itself on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tokenprov.sim.contact import Contact
from tokenprov.sim.specs import BenchError
from tokenprov.sim.usb.port import UsbPort
from tokenprov.sim.wiring import token_at

USB_VARIABLE = "TOKENPROV_SIM_USB"  # the folder with a socket for each port
NOTICE_SECONDS = 20.0  # how long a machine may take to use a token; one in software is slow


class UsbWiring:
    """Implements `wiring.Wiring` by usbredir; without a machine nobody is waited for."""

    def __init__(self, folder: Path, contacts: Mapping[int, Contact]) -> None:
        self._folder, self._contacts = folder, contacts
        self._ports = {number: UsbPort(folder / f"usb{number}") for number in contacts}
        for number, contact in contacts.items():
            contact.noticed = self._notifier(number)

    def _notifier(self, number: int) -> Callable[[bool], None]:
        return partial(self._moved, number)

    def _moved(self, number: int, present: bool) -> None:
        if present:
            self._ports[number].attach(self._contacts[number], token_at(self._contacts, number))
        else:
            self._ports[number].detach()

    @property
    def environment(self) -> dict[str, str]:
        """The variable that leads a virtual machine here."""
        return {USB_VARIABLE: str(self._folder)}

    def start(self) -> None:
        """Serve machines on all ports."""
        for port in self._ports.values():
            port.start()

    def close(self) -> None:
        """Stop: every token is gone."""
        for port in self._ports.values():
            port.close()

    def restart(self) -> None:
        """There is no service here that could be killed."""
        raise BenchError("the machine on the bus has a pcscd of its own")

    def plugged(self, number: int) -> bool:
        """Whether a token is on that port."""
        return self._ports[number].device is not None

    def name_of(self, number: int) -> str:
        """The product's name: what a machine makes of it is its own affair."""
        device = self._ports[number].device
        return "" if device is None else device.layout.name

    def plug(self, number: int, name: str | None = None) -> None:
        """A token that is in its contact is on the bus."""
        if name is not None:
            raise ValueError("on a USB bus a token has its own name")

    def unplug(self, number: int) -> None:
        """A token that was taken from its contact is off the bus."""

    def await_gone(self, number: int) -> None:
        """The machine is told; that it acts on it is not waited for."""

    def await_power(self, number: int) -> None:
        """Wait until the machine uses the token."""
        if not self._ports[number].wait_configured(NOTICE_SECONDS):
            raise BenchError(f"the machine does not use the token on port {number}")

    def type(self, number: int, text: str) -> None:
        """Type on the keyboard of the token on that port."""
        device = self._ports[number].device
        if device is not None:
            device.type(text)
