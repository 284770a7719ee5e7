"""Tokens on USB as the kernel lists them: their interfaces and nodes, none of which is opened.

One token is one USB device, however many nodes it has: a keyboard and a FIDO interface are HID
nodes, a smart card belongs to pcscd. What a HID node is stands in its report descriptor (HID 1.11,
6.2.2; CTAP 2.1, 11.2.8.2). Linux only: elsewhere there are no tokens here.

A line looks ten times a second, so a device is read once: what the kernel made of it stays as it is
until it is pulled, and the next one is another folder of sysfs, by its inode.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

YUBICO = 0x1050
HID = "03"  # bInterfaceClass (HID 1.11, 4.1)
SMART_CARD = "0b"  # bInterfaceClass (CCID 1.1, 4.3)
FIDO_USAGE = (0xF1D0, 0x01)
KEYBOARD_USAGE = (0x01, 0x06)  # HID Usage Tables, 4: generic desktop, keyboard
USAGE_PAGE, USAGE, SIZE = 0x04, 0x08, 0x03  # of an item's first byte (HID 1.11, 6.2.2.2)
_SIZES = (0, 1, 2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbToken:
    """One token. `number` is new each time it is plugged in; nodes are None where it has none."""

    port: str  # where it is plugged in: "1-2"
    number: int
    vendor: int
    product: int
    name: str
    fido: Path | None
    otp: Path | None  # a YubiKey's feature report, beside its keyboard
    keyboards: tuple[Path, ...]  # event nodes
    has_ccid: bool

    @property
    def reader(self) -> str:
        """What a place in which it is plugged is called, beside the names of readers."""
        return f"USB {self.port} {self.name}".strip()

    @property
    def nodes(self) -> tuple[Path, ...]:
        """The HID nodes by which it is used."""
        return tuple(node for node in (self.fido, self.otp) if node is not None)


def usb_tokens(sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> tuple[UsbToken, ...]:
    """The tokens that are plugged in now, in the order of their ports."""
    found = []
    devices = sys / "bus/usb/devices"
    for name in sorted(os.listdir(devices) if devices.is_dir() else ()):
        if ":" in name:
            continue  # an interface
        folder = devices / name
        try:
            token = _token(folder, dev, folder.stat().st_ino)
        except (OSError, ValueError):  # gone while it was looked at
            continue
        if token is not None:
            found.append(token)
    return tuple(found)


@lru_cache(maxsize=64)
def _token(folder: Path, dev: Path, inode: int) -> UsbToken | None:
    """What that device is, None for no token; raises `ValueError` while the kernel is at it."""
    vendor = int(_text(folder / "idVendor"), 16)
    fido = otp = None
    keyboards: list[Path] = []
    has_ccid = False
    interfaces = sorted(folder.glob(f"{folder.name}:*"))
    if len(interfaces) != int(_text(folder / "bNumInterfaces")):  # empty where none is set up
        raise ValueError("it was just plugged in")
    for interface in interfaces:
        kind = _text(interface / "bInterfaceClass")
        has_ccid = has_ccid or kind == SMART_CARD
        if kind == HID and not any(interface.glob("*:*:*.*/hidraw/hidraw*")):
            raise ValueError("it was just plugged in")
        for hid in interface.glob("*:*:*.*"):
            usage = first_usage((hid / "report_descriptor").read_bytes())
            node = next((dev / one.name for one in (hid / "hidraw").glob("hidraw*")), None)
            if usage == FIDO_USAGE:
                fido = node
            elif usage == KEYBOARD_USAGE and vendor == YUBICO:
                otp = node
                keyboards += [dev / "input" / one.name for one in hid.glob("input/input*/event*")]
    if fido is None and otp is None and not (vendor == YUBICO and has_ccid):
        return None  # a YubiHSM too, which has neither
    name = folder / "product"
    return UsbToken(
        port=folder.name,
        number=int(_text(folder / "devnum")),
        vendor=vendor,
        product=int(_text(folder / "idProduct"), 16),
        name=_text(name) if name.exists() else "",
        fido=fido,
        otp=otp,
        keyboards=tuple(keyboards),
        has_ccid=has_ccid,
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def first_usage(descriptor: bytes) -> tuple[int, int] | None:
    """Usage page and usage of the first collection; None where the descriptor does not say."""
    page = None
    for kind, value in _items(descriptor):
        if kind == USAGE_PAGE:
            page = value
        elif kind == USAGE and page is not None:
            return page, value
    return None


def _items(descriptor: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(descriptor):
        head, size = descriptor[at], _SIZES[descriptor[at] & SIZE]
        yield head & ~SIZE, int.from_bytes(descriptor[at + 1 : at + 1 + size], "little")
        at += 1 + size
