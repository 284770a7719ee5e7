"""HID nodes of tokens: FIDO reports and a YubiKey's feature reports, for one program at a time.

Rules:
- A node is locked while it is open (flock), so that two programs of this kind do not share one.
- A token that is pulled meanwhile is `TokenGone`, whatever the system calls it.
- The machine's USB is looked at only with its own pcscd: whoever is led to a private one
  (PCSCLITE_CSOCK_NAME) has nothing to do with the tokens that are plugged in here.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.hid import ConnectionFailure, CtapHidDevice, open_connection
from fido2.hid.linux import get_descriptor
from yubikit.core import CommandError
from yubikit.core.otp import FEATURE_RPT_SIZE, OtpConnection
from yubikit.management import ManagementSession

from tokenprov.device.translate import translated
from tokenprov.device.usb import UsbToken, usb_tokens
from tokenprov.device.watch import Watch
from tokenprov.errors import NotSupported, ReaderBusy, TokenError, TokenGone

OTHER_SERVICE = "PCSCLITE_CSOCK_NAME"
_NUMBER_AND_REPORT = 1 + FEATURE_RPT_SIZE  # bytes that an ioctl moves
SET_FEATURE = 0xC0004806 | _NUMBER_AND_REPORT << 16  # HIDIOCSFEATURE, linux/hidraw.h
GET_FEATURE = 0xC0004807 | _NUMBER_AND_REPORT << 16  # HIDIOCGFEATURE
BUSY_SECONDS = 5.0  # for which a token is asked again that serves another program


def plugged_in() -> tuple[UsbToken, ...]:
    """The tokens on this machine's USB, where this program uses the machine's own readers."""
    return () if OTHER_SERVICE in os.environ else usb_tokens()


@contextmanager
def _here(where: str) -> Iterator[None]:
    """Around what the system does with a node; its errors are those of the token."""
    try:
        yield
    except BlockingIOError as error:
        raise ReaderBusy(
            f"{where} is in use by another program",
            remedy="Close that program, and the token is taken up again.",
            holders=(),
        ) from error
    except PermissionError as error:
        raise NotSupported(
            f"{where} may not be opened: {error.strerror}",
            remedy="See what mends it: tokenprov doctor",
        ) from error
    except OSError as error:
        raise TokenGone(
            f"{where}: {error.strerror or error}",
            remedy="Insert the same token again; the work goes on where it was.",
        ) from error
    except (ConnectionFailure, struct.error) as error:  # who does not lock nodes shares them
        raise _shared(where, f"gave an answer that is not to what was asked: {error}") from error
    except CtapError as error:
        if error.code != CtapError.ERR.CHANNEL_BUSY:
            raise
        raise _shared(where, f"serves another program for {BUSY_SECONDS:.0f} s") from error


def _shared(where: str, what: str) -> ReaderBusy:
    return ReaderBusy(
        f"{where} {what}",
        remedy="Close what else talks to the token, a browser perhaps, and it is taken up again.",
        holders=(),
    )


class FidoNode(CtapHidDevice):
    """A token's FIDO node."""

    def __init__(self, token: UsbToken) -> None:
        self._where = f"{token.reader}, {token.fido}"
        with _here(self._where), ExitStack() as opening:
            descriptor = get_descriptor(str(token.fido))  # type: ignore[no-untyped-call]  # fido2 has no types here
            connection = open_connection(descriptor)  # type: ignore[no-untyped-call]  # nor has it here either
            opening.callback(connection.close)
            fcntl.flock(connection.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with translated("opening its FIDO interface"):
                super().__init__(descriptor, connection)
            opening.pop_all()

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """As the library's."""
        with _here(self._where):
            answer: bytes = super().call(cmd, data, _WhileBusy(event), on_keepalive)
        return answer


class _WhileBusy(Event):
    """Set as the one below is; whoever waits for it is told after `BUSY_SECONDS` all the same.

    fido2 waits for it between two askings of a token that is busy, and else asks without end.
    """

    def __init__(self, below: Event | None) -> None:
        super().__init__()
        self._below, self._until = below, time.monotonic() + BUSY_SECONDS

    def is_set(self) -> bool:
        return self._below is not None and self._below.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(timeout) or self.is_set() or time.monotonic() > self._until


class OtpNode(OtpConnection):
    """A YubiKey's feature reports, beside its keyboard."""

    def __init__(self, token: UsbToken, watch: Watch | None = None) -> None:
        self._where, self._watch = f"{token.reader}, {token.otp}", watch
        with _here(self._where):
            self._node = os.open(str(token.otp), os.O_RDWR)
            try:
                fcntl.flock(self._node, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._node)
                raise

    def receive(self) -> bytes:
        """Read the feature report."""
        return self._move(GET_FEATURE, bytes(FEATURE_RPT_SIZE))

    def send(self, data: bytes) -> None:
        """Write it."""
        self._move(SET_FEATURE, data)

    def _move(self, request: int, report: bytes) -> bytes:
        if self._watch is not None:
            self._watch.sending()
        moved = bytearray(b"\0" + report)  # the number of the report: there is one
        with _here(self._where):
            fcntl.ioctl(self._node, request, moved, True)
        if self._watch is not None:
            self._watch.answered()
        return bytes(moved[1:])

    def close(self) -> None:
        """Let the node go."""
        os.close(self._node)


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
        return _fido_nodes()


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
    for device in _fido_nodes() if devices is None else devices:
        try:
            found = ManagementSession(device).read_device_info().serial
        except (CommandError, CtapError, TokenError, OSError, ValueError):  # no YubiKey, or gone
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


def _fido_nodes() -> Iterator[CtapDevice]:
    for token in plugged_in():
        if token.fido is not None:
            try:
                yield FidoNode(token)
            except TokenError:  # no right to open it, in use, or gone: `over_hid` says so
                continue
