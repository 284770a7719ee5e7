"""A token that has HID interfaces and no smart card: a Security Key, or a YubiKey with CCID off.

Rules:
- Its nodes are opened together and kept: they are interfaces of one token, and must agree on the
  serial, where they tell one; a Security Key does not.
- What needs a smart card is `NotSupported`.
- Switching interfaces restarts the token, which comes back with other nodes, or in a reader: it is
  another insertion (`TokenMoved`).
- Another maker's token is one that has FIDO and no other application.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

from yubikit.core import TRANSPORT
from yubikit.core.otp import OtpConnection
from yubikit.management import CAPABILITY, DeviceInfo
from yubikit.support import get_name

from tokenprov.device.alone import Alone
from tokenprov.device.comeback import moving
from tokenprov.device.fido2 import Fido2, Surroundings
from tokenprov.device.hid import FidoNode, OtpNode, WatchedDevice
from tokenprov.device.management import Management, device_info
from tokenprov.device.otp import Otp
from tokenprov.device.usb import YUBICO, UsbToken
from tokenprov.device.watch import Watch
from tokenprov.errors import NotSupported, WrongToken
from tokenprov.model import TokenId, TokenKind
from tokenprov.step import Operator

RIGHTS_SECONDS = 2.0  # that udev may take


class HidToken(Alone):
    """Implements `token.Token` for what is used by its HID nodes alone. A context manager."""

    applications = ("fido2",)

    def __init__(self, usb: UsbToken, operator: Operator, watch: Watch | None = None) -> None:
        self._usb, self._watch = usb, watch
        self._open = ExitStack()
        _await_rights(usb)
        with ExitStack() as opening:
            self._fido: FidoNode | None = None
            self._slots: OtpConnection | None = None
            if usb.fido is not None:
                self._fido = FidoNode(usb)
                opening.callback(self._fido.close)
            if usb.otp is not None:
                self._slots = OtpNode(usb, watch)
                opening.callback(self._slots.close)
            self._info = self._read_info()
            self._fido2: Fido2 | None = None
            self._otp: Otp | None = None
            super().__init__(self._identity(), usb.reader, operator)
            if self._info is not None:
                major, minor, patch = self._info.version
                self.firmware = (major, minor, patch)
                self.is_fips = bool(self._info.is_fips)
            only_fido = self._info is None or self._info.is_sky
            self.kind = TokenKind.SECURITY_KEY if only_fido else TokenKind.YUBIKEY
            self._open = opening.pop_all()

    def __enter__(self) -> HidToken:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _read_info(self) -> DeviceInfo | None:
        """What the maker's own command says; None for another maker's token."""
        if self._usb.vendor != YUBICO:
            return None
        found = [device_info(node) for node in (self._fido, self._slots) if node is not None]
        if len({info.serial for info in found}) > 1:
            serials = " and ".join(str(info.serial) for info in found)
            raise WrongToken(
                f"the interfaces of one token say serial {serials}",
                remedy="Set it aside: a token whose interfaces disagree is not issued.",
            )
        return found[0]

    def _identity(self) -> TokenId:
        info = self._info
        serial = str(info.serial) if info is not None and info.serial else None
        return TokenId(
            maker="yubico" if info is not None else f"usb:{self._usb.vendor:04x}",
            model=get_name(info, None) if info is not None else self._usb.name,
            firmware=str(info.version) if info is not None else "",
            serial=serial,
        )

    def fido2(self) -> Fido2:
        """FIDO2, over HID."""
        if self._fido2 is None:
            if self._fido is None:
                raise self._without("FIDO2")
            info = self._info
            watch = self._watch
            self._fido2 = Fido2(
                self._fido if watch is None else WatchedDevice(self._fido, watch),
                self.touch,
                Surroundings(
                    u2f_enabled=lambda: info is None or _enabled(info, CAPABILITY.U2F),
                    enforces_complexity=lambda: info is not None and info.pin_complexity,
                ),
            )
        return self._fido2

    def otp(self) -> Otp:
        """OTP, by the feature reports beside the keyboard."""
        if self._otp is None:
            if self._slots is None:
                raise self._without("OTP")
            self._otp = Otp(self._slots)
        return self._otp

    def management(self) -> Management:
        """The device configuration."""
        info, node = self._info, self._fido or self._slots
        if info is None or node is None:
            raise self._without("a device configuration")
        return Management(lambda: node, info, TRANSPORT.USB, lambda _: moving(self.id))

    def _without(self, what: str) -> NotSupported:
        return NotSupported(
            f"token {self.id.label} has not {what} on the interfaces that it is plugged in by",
            remedy="Switch it on (ykman config usb), or use another token or another profile.",
        )


def _await_rights(usb: UsbToken) -> None:
    """Udev gives a node its rights a moment after the kernel has made it."""
    began = time.monotonic()
    while time.monotonic() - began < RIGHTS_SECONDS:
        if all(os.access(node, os.R_OK | os.W_OK) for node in usb.nodes):
            return
        time.sleep(0.05)


def _enabled(info: DeviceInfo, capability: CAPABILITY) -> bool:
    enabled = info.config.enabled_capabilities
    return not enabled or any(switches & capability for switches in enabled.values())
