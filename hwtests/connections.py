"""The maker's own library on a token, on a connection of its own that no other part of this has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from fido2.ctap import CtapDevice
from fido2.ctap2.base import Ctap2
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.yubiotp import YubiOtpSession

from hwtests.subject import Subject
from tokenprov.device.hid import FidoNode, OtpNode, over_hid, plugged_in
from tokenprov.device.pcsc import Context, connected
from tokenprov.device.usb import UsbToken


@contextmanager
def ctap2(subject: Subject, reader: str) -> Iterator[Ctap2]:
    """Its authenticator, over HID where it is there."""
    if "hid" in subject.fido_over:
        usb = _place(reader)
        if usb is not None:
            device: CtapDevice = FidoNode(usb)
        else:
            assert subject.serial is not None  # in a reader it is found by that
            device = over_hid(subject.serial)
        with closing(device):
            yield Ctap2(device)
    else:
        with connected(reader) as connection:
            yield Ctap2(SmartCardCtapDevice(connection))


@contextmanager
def otp(reader: str) -> Iterator[YubiOtpSession]:
    """Its OTP application."""
    usb = _place(reader)
    if usb is not None:
        with closing(OtpNode(usb)) as node:
            yield YubiOtpSession(node)
    else:
        with connected(reader) as connection:
            yield YubiOtpSession(connection)


def _place(reader: str) -> UsbToken | None:
    """The place on the bus of that name; None for the name of a reader."""
    return next((one for one in plugged_in() if one.reader == reader), None)


def filled() -> set[str]:
    """The readers and places with a token in it; none is asked anything."""
    with Context() as context:
        return {state.name for state in context.states() if state.present}
