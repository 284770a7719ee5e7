"""The FIDO interface of a YubiKey among the HID devices, found by its serial."""

from __future__ import annotations

from collections.abc import Iterable

from fido2.ctap import CtapDevice, CtapError
from fido2.hid import CtapHidDevice, list_descriptors, open_connection
from yubikit.core import CommandError
from yubikit.management import ManagementSession

from tokenprov.errors import NotSupported


def over_hid(serial: str, devices: Iterable[CtapDevice] | None = None) -> CtapDevice:
    """The FIDO interface of the YubiKey with that serial, among the HID devices.

    A YubiKey gives its serial there by the maker's own command; others are passed over. Raises
    `NotSupported` when none has it.
    """
    for device in _hid_devices() if devices is None else devices:
        try:
            found = ManagementSession(device).read_device_info().serial
        except (CommandError, CtapError, OSError, ValueError):  # not a YubiKey, or taken away
            found = None
        if found is not None and str(found) == serial:
            return device
        device.close()
    raise NotSupported(
        f"no FIDO interface of token {serial}: not over CCID, and none of the HID devices has"
        " this serial",
        remedy="Check that the FIDO application is enabled over USB and that you may open its"
        " hidraw node.",
    )


def _hid_devices() -> Iterable[CtapDevice]:
    for descriptor in list_descriptors():  # type: ignore[no-untyped-call]  # fido2 has no types here
        try:
            connection = open_connection(descriptor)  # type: ignore[no-untyped-call]  # it has no types here either
            yield CtapHidDevice(descriptor, connection)
        except OSError:  # no right to open it, or gone: the error of `over_hid` says so
            continue
