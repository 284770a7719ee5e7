"""The management applet of a YubiKey: reads and writes the device configuration.

Source: the maker's management interface, as its manuals and host library describe it. The
application answers SELECT with its version as text. All of the content is in `sim.device`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.device import Device

AID = bytes.fromhex("a000000527471117")


class Ins(IntEnum):
    """Instructions."""

    SET_MODE = 0x16
    WRITE_CONFIG = 0x1C
    READ_CONFIG = 0x1D
    DEVICE_RESET = 0x1F  # only keys with a fingerprint reader know it


P1_DEVICE_CONFIG = 0x11


class ManagementApplet:
    """The management applet."""

    name = "management"
    aid = AID

    def __init__(self, device: Device) -> None:
        self._device = device

    def select(self) -> bytes:
        """The version, as text."""
        version = ".".join(str(part) for part in self._device.model.version)
        return f"Virtual mgr - FW version {version}".encode()

    def deselect(self) -> None:
        """It holds nothing."""

    def power_up(self) -> None:
        """Power over USB."""
        self._device.power_up()

    def process(self, command: Command) -> bytes:
        """Answer one command."""
        if command.cla != 0:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        version = self._device.model.version
        if command.ins == Ins.READ_CONFIG and version >= (4, 1, 0):
            if command.p2:
                raise Refusal(SW.WRONG_P1P2)
            return self._device.page(command.p1)
        if command.ins == Ins.WRITE_CONFIG and version >= (5, 0, 0):
            if command.p1 or command.p2:
                raise Refusal(SW.WRONG_P1P2)
            self._device.write(command.data)
            return b""
        if command.ins == Ins.SET_MODE and version < (5, 0, 0):
            if command.p1 != P1_DEVICE_CONFIG or command.p2:
                raise Refusal(SW.WRONG_P1P2)
            self._device.set_mode(command.data)
            return b""
        raise Refusal(SW.INVALID_INSTRUCTION)

    def dump(self) -> dict[str, Any]:
        """The device configuration."""
        return self._device.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Take the device configuration."""
        self._device.load(state)
