"""Readers behind a private pcscd, on a virtual bus of its own (bus.py, ifd/)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tokenprov.sim.bus import Bus, Reader
from tokenprov.sim.contact import Contact
from tokenprov.sim.ifd.build import Driver
from tokenprov.sim.pcscd import PrivatePcscd
from tokenprov.sim.server import ReaderServer
from tokenprov.sim.specs import BenchError
from tokenprov.sim.wiring import token_at

NOTICE_SECONDS = 10.0  # how long pcscd may take to notice a change, on a busy machine
GONE_SECONDS = 3.0  # how long a pull waits for that: while a command is at work it is not noticed


class PcscWiring:
    """Implements `wiring.Wiring` by a private pcscd, in one folder."""

    def __init__(self, folder: Path, driver: Driver, contacts: Mapping[int, Contact]) -> None:
        self._contacts = contacts
        self._server = ReaderServer(folder / "ifd", contacts)
        self._bus = Bus(folder)
        self._pcscd = PrivatePcscd(folder, driver, self._bus)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a PC/SC client here."""
        return self._pcscd.environment

    def start(self) -> None:
        """Start serving, and the private pcscd."""
        self._server.start()
        self._pcscd.start()

    def close(self) -> None:
        """Stop both."""
        self._pcscd.stop()
        self._server.close()

    def restart(self) -> None:
        """Kill pcscd and start another: every client's context dies."""
        self._pcscd.restart()

    def plugged(self, number: int) -> bool:
        """Whether that reader is on the bus."""
        return self._bus.plugged(number)

    def name_of(self, number: int) -> str:
        """The name that pcscd gives it."""
        return self._bus.name_of(number)

    def plug(self, number: int, name: str | None = None) -> None:
        """Show the reader under the name that its token has now; not, without smart card."""
        device = token_at(self._contacts, number).device
        own = token_at(self._contacts, number).model.reader_name
        if device is not None:
            own = device.reader_name
        named = Reader(number=number, name=name or own, device=self._server.device_of(number))
        visible = device is None or device.has_ccid
        if self._bus.plugged(number) == visible and self._bus.holds(named) == visible:
            return
        self.unplug(number)
        if visible:
            self._bus.plug(named)

    def unplug(self, number: int) -> None:
        """Take the reader off the bus."""
        self._bus.unplug(number)
        if not self._server.wait_unwatched(number, NOTICE_SECONDS):
            raise BenchError("the reader is still there")

    def await_gone(self, number: int) -> None:
        """Wait until pcscd has noticed, unless it is busy."""
        if self._bus.plugged(number) and self._pcscd.pid is not None:
            self._server.wait_settled(number, GONE_SECONDS)

    def await_power(self, number: int) -> None:
        """Wait until pcscd has noticed the token, powered it and shown it to its clients."""
        if not self._bus.plugged(number) or self._pcscd.pid is None:
            return
        powered = self._contacts[number].wait_powered(NOTICE_SECONDS)
        if not powered or not self._server.wait_settled(number, NOTICE_SECONDS):
            raise BenchError(f"pcscd did not power the token in reader {number}")

    def type(self, number: int, text: str) -> None:
        """A reader has no keyboard."""
