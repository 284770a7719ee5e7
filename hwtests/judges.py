"""What judges take: the output of programs, and the maker's own library on a token's FIDO2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fido2.ctap2.base import Ctap2
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.yubiotp import YubiOtpSession

from hwtests.bench import Bench
from tokenprov.device.hid import OtpNode, over_hid, plugged_in
from tokenprov.device.pcsc import connected

OPENSC = ("pkcs11-tool", "--module", "opensc-pkcs11.so")


def fields(text: str) -> dict[str, str]:
    """The lines "name: value" of a program's output, the last one of each name."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


@contextmanager
def ctap2(bench: Bench) -> Iterator[Ctap2]:
    """The token's authenticator, over HID where it is there, on a connection of its own."""
    if "hid" in bench.subject.fido_over:
        device = over_hid(bench.serial)
        try:
            yield Ctap2(device)
        finally:
            device.close()
    else:
        with connected(bench.reader) as connection:
            yield Ctap2(SmartCardCtapDevice(connection))


@contextmanager
def otp(bench: Bench) -> Iterator[YubiOtpSession]:
    """The token's OTP application, on a connection of its own."""
    reader = bench.reader
    usb = next((one for one in plugged_in() if one.reader == reader), None)
    if usb is not None:
        node = OtpNode(usb)
        try:
            yield YubiOtpSession(node)
        finally:
            node.close()
    else:
        with connected(reader) as connection:
            yield YubiOtpSession(connection)
