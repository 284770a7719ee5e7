"""The device part of the profile language: what a token offers, and on which transport.

Source: Yubico's technical manual ("Enabling and disabling applications", "Configuration lock code",
"Restricted NFC"). Rules:

- The last USB interface is never switched off: nobody would reach the token any more. The
  smart-card interface stays on, over which what was written is read back.
- What a profile sets is not switched off by it.
- A key that is left out leaves the token as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from pydantic import StrictBool, StrictInt, field_validator
from yubikit.core import USB_INTERFACE
from yubikit.management import CAPABILITY

from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.section import Section

EJECT_TIMEOUTS = range(1, 0x10000)  # seconds, two bytes
CHALLENGE_TIMEOUTS = range(1, 0x100)  # seconds, one byte


class Application(StrEnum):
    """The applications of a YubiKey that can be switched on and off."""

    OTP = "otp"
    U2F = "u2f"
    FIDO2 = "fido2"
    OATH = "oath"
    PIV = "piv"
    OPENPGP = "openpgp"
    HSMAUTH = "hsmauth"

    @property
    def capability(self) -> CAPABILITY:
        """Its bit on the wire."""
        return CAPABILITY[self.name]


def capabilities(applications: tuple[Application, ...]) -> CAPABILITY:
    """The bits of those applications."""
    bits = CAPABILITY(0)
    for application in applications:
        bits |= application.capability
    return bits


class DeviceSection(Section):
    """The device configuration. `usb` and `nfc` are all that is on there; others are off."""

    usb: tuple[Application, ...] | None = None
    nfc: tuple[Application, ...] | None = None
    nfc_restricted: StrictBool = False  # nothing over NFC until it got its power over USB once
    touch_eject: StrictBool | None = None  # a touch takes the smart card out, another puts it in
    auto_eject_timeout: StrictInt | None = None  # seconds after which it takes itself out
    challenge_response_timeout: StrictInt | None = None  # seconds that it waits for a touch
    remote_wakeup: StrictBool | None = None  # a touch wakes the computer
    lock_code: StrictBool = False  # drawn; without it nobody changes any of this

    @field_validator("usb", "nfc")
    @classmethod
    def _once(cls, value: tuple[Application, ...] | None) -> tuple[Application, ...] | None:
        if value is not None and len(set(value)) < len(value):
            twice = next(one for one in value if value.count(one) > 1)
            raise Faults([Fault(message=f"{twice} stands twice", remedy="Write it once.")])
        return value

    def rules(self) -> Iterator[Fault]:
        """The token can still be reached, and values fit."""
        if self == type(self).model_construct():
            yield Fault(message="[device] sets nothing", remedy="Set a key in it, or delete it.")
        if self.usb is not None:
            yield from self._reachable(self.usb)
        if self.touch_eject and self._interfaces != USB_INTERFACE.CCID:
            yield Fault(
                at=("touch-eject",),
                message="a touch ejects only where the smart card is the one USB interface",
                remedy="Leave otp, u2f and fido2 out of usb, or delete touch-eject.",
            )
        if self.auto_eject_timeout is not None and not self.touch_eject:
            yield Fault(
                at=("auto-eject-timeout",),
                message="a smart card that ejects itself comes back by a touch alone",
                remedy="Write touch-eject = true, or delete auto-eject-timeout.",
            )
        for key, seconds, allowed in (
            ("auto-eject-timeout", self.auto_eject_timeout, EJECT_TIMEOUTS),
            ("challenge-response-timeout", self.challenge_response_timeout, CHALLENGE_TIMEOUTS),
        ):
            if seconds is not None and seconds not in allowed:
                yield Fault(
                    at=(key,),
                    message=f"{seconds} is not a time that a token can keep: from {allowed[0]} to "
                    f"{allowed[-1]} seconds",
                    remedy="Write another, or delete the key.",
                )

    @property
    def _interfaces(self) -> USB_INTERFACE | None:
        return None if self.usb is None else capabilities(self.usb).usb_interfaces

    def _reachable(self, usb: tuple[Application, ...]) -> Iterator[Fault]:
        if not usb:
            yield Fault(
                at=("usb",),
                message="the last USB interface cannot be switched off: nobody would reach the"
                " token again",
                remedy="List the applications that stay on, or delete the key.",
            )


def check_applications(
    device: DeviceSection | None, applets: Sequence[Application]
) -> Iterator[Fault]:
    """What the profile sets up and switches off at once."""
    if device is None or device.usb is None:
        return
    for applet in applets:
        if applet not in device.usb:
            yield Fault(
                at=("device", "usb"),
                message=f"[{applet}] is set by this profile and switched off here",
                remedy=f'Add "{applet}" to usb, or delete [{applet}].',
            )
