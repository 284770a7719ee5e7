"""The USB bus of a private pcscd: which readers are plugged in, and what they are called.

pcscd names a USB reader after its vendor and product number, from the driver's Info.plist, and
appends a number of two hexadecimal digits, the lowest that no reader has, and " 00" for the slot.
The names are those that libccid gives the same products. The folder's files are described in
ifd/tokenprov_usb.c.
"""

from __future__ import annotations

import contextlib
import plistlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

MAX_READERS = 16  # PCSCLITE_MAX_READERS_CONTEXTS
BUNDLE = "tokenprov.bundle"
LIBRARY = "tokenprov-ifd.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A USB product: what pcscd looks a reader's name up by."""

    vendor: int
    product: int


YUBICO = 0x1050
TEST_VENDOR = 0xFFFF  # nobody's
PRODUCTS: Mapping[str, Product] = MappingProxyType(
    {
        "Yubico YubiKey CCID": Product(vendor=YUBICO, product=0x0404),
        "Yubico YubiKey OTP+CCID": Product(vendor=YUBICO, product=0x0405),
        "Yubico YubiKey FIDO+CCID": Product(vendor=YUBICO, product=0x0406),
        "Yubico YubiKey OTP+FIDO+CCID": Product(vendor=YUBICO, product=0x0407),
        "Virtual Smart Card Reader": Product(vendor=TEST_VENDOR, product=0x0001),
        "Virtual Contactless Reader": Product(vendor=TEST_VENDOR, product=0x0003),
        "Another Virtual Reader": Product(vendor=TEST_VENDOR, product=0x0002),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A reader on the bus. `name` is one of `PRODUCTS`; `device` what the IFD handler connects to.

    `number` tells readers apart; it is not the one that pcscd appends to the name.
    """

    number: int
    name: str
    device: str

    @property
    def line(self) -> str:
        """The line of the device file. Raises `KeyError` for a name that no product has."""
        product = PRODUCTS[self.name]
        return f"1-{self.number + 1}:1.0 {product.vendor:04x} {product.product:04x} {self.device}"


class Bus:
    """What is plugged into the bus in `folder`. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drivers = folder / "drivers"
        self._devices = folder / "devices"
        self.monitor = folder / "monitor"
        self._plugged: dict[int, Reader] = {}
        self._digits: dict[int, int] = {}

    def install(self, handler: Path) -> None:
        """Make the folder of drivers, in which pcscd finds ours and no other."""
        contents = self.drivers / BUNDLE / "Contents"
        (contents / "Linux").mkdir(parents=True, exist_ok=True)
        library = contents / "Linux" / LIBRARY
        library.unlink(missing_ok=True)
        library.symlink_to(handler)
        products = [(name, PRODUCTS[name]) for name in PRODUCTS]
        with (contents / "Info.plist").open("wb") as file:
            plistlib.dump(
                {
                    "CFBundleExecutable": LIBRARY,
                    "CFBundleName": "tokenprov",
                    "ifdCapabilities": "0x00000000",
                    "ifdVendorID": [f"0x{product.vendor:04X}" for _, product in products],
                    "ifdProductID": [f"0x{product.product:04X}" for _, product in products],
                    "ifdFriendlyName": [name for name, _ in products],
                },
                file,
            )
        self._write()

    def name_of(self, number: int) -> str:
        """The whole name that pcscd gives a reader that is plugged in."""
        return f"{self._plugged[number].name} {self._digits[number]:02X} 00"

    def plugged(self, number: int) -> bool:
        """Whether that reader is plugged in."""
        return number in self._plugged

    def holds(self, reader: Reader) -> bool:
        """Whether exactly this reader, under this name, is plugged in."""
        return self._plugged.get(reader.number) == reader

    def plug(self, reader: Reader) -> None:
        """Plug a reader in. Raises `ValueError` for a name of no product, or when it is there."""
        if reader.name not in PRODUCTS:
            raise ValueError(f"no product is called {reader.name!r}; there are {list(PRODUCTS)}")
        if reader.number in self._plugged or len(self._plugged) >= MAX_READERS:
            raise ValueError("it is plugged in, or there is no room for another reader")
        self._digits[reader.number] = min(set(range(MAX_READERS)) - set(self._digits.values()))
        self._plugged[reader.number] = reader
        self._write()
        self._tell("add", reader)

    def unplug(self, number: int) -> None:
        """Pull a reader. Nothing happens when it is not there."""
        reader = self._plugged.pop(number, None)
        if reader is not None:
            del self._digits[number]
            self._write()
            self._tell("remove", reader)

    def renumber(self) -> None:
        """Pcscd starts afresh: it numbers the readers in the order of the device file."""
        self._digits = {number: n for n, number in enumerate(sorted(self._plugged))}
        self.monitor.unlink(missing_ok=True)
        self._write()

    def _write(self) -> None:
        fresh = self._devices.with_suffix(".new")
        lines = [self._plugged[number].line for number in sorted(self._plugged)]
        fresh.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        fresh.replace(self._devices)

    def _tell(self, action: str, reader: Reader) -> None:
        out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # nobody listens while pcscd does not run: it will read the device file
        with out, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            out.sendto(f"{action} {reader.line}".encode(), str(self.monitor))
