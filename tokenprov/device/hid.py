"""The FIDO interface of a YubiKey among the HID devices, found by its serial."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Event

from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.hid import CtapHidDevice, list_descriptors, open_connection
from yubikit.core import CommandError
from yubikit.management import ManagementSession

from tokenprov.device.watch import Watch
from tokenprov.errors import NotSupported


class WatchedDevice(CtapDevice):
    """Tells a watch of each command; one that is given up is cancelled at the token."""

    def __init__(self, device: CtapDevice, watch: Watch) -> None:
        self._device, self._watch = device, watch

    @property
    def capabilities(self) -> int:
        """Those of the device."""
        capabilities: int = self._device.capabilities
        return capabilities

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """As the device's. Raises `TokenError` where the turn was given up."""
        self._watch.sending()
        try:
            answer: bytes = self._device.call(
                cmd, data, event or _GivenUp(self._watch), on_keepalive
            )
        finally:
            self._watch.answered()
        return answer

    def close(self) -> None:
        """Close the device."""
        self._device.close()

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        """Those that there are, unwatched."""
        return iter(_hid_devices())


class _GivenUp(Event):
    """Set when the turn is given up: fido2 then cancels the command (CTAP 2.1, 11.2.9.1.5)."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def is_set(self) -> bool:
        return super().is_set() or bool(self._watch.given_up)


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
