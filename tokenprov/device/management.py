"""The device configuration of a YubiKey, through yubikit's management session."""

from __future__ import annotations

from collections.abc import Callable

from fido2.ctap import CtapDevice
from yubikit.core import (
    TRANSPORT,
    USB_INTERFACE,
    ApplicationNotAvailableError,
    BadResponseError,
    NotSupportedError,
)
from yubikit.core.otp import OtpConnection
from yubikit.core.smartcard import SW, ApduError, SmartCardConnection
from yubikit.management import DeviceConfig, DeviceInfo, ManagementSession
from yubikit.support import read_info

from tokenprov.device.translate import translated
from tokenprov.errors import AuthenticationFailed, NotSupported, TokenGone
from tokenprov.secret import Secret

Source = SmartCardConnection | OtpConnection | CtapDevice  # over any interface of the token


class NotAYubiKey(NotSupported):
    """The management applet, which every YubiKey has and no other maker's card, is not there."""


class Management:
    """Implements `token.ManagementApplet`.

    `connect` gives the connection when the applet is to be selected. `restarting` is called with
    the interfaces that will be on before the token restarts, and what it gives afterwards:
    `connect` leads to the same token again then, or it raises `TokenMoved`.
    """

    def __init__(
        self,
        connect: Callable[[], Source],
        info: DeviceInfo,
        transport: TRANSPORT,
        restarting: Callable[[USB_INTERFACE], Callable[[], None]],
    ) -> None:
        self._connect, self._restarting = connect, restarting
        self.transport = transport
        self.info = info

    def refresh(self) -> None:
        """Read what the token says of itself."""
        self.info = device_info(self._connect())

    def write(
        self,
        config: DeviceConfig,
        *,
        reboot: bool = False,
        lock_code: Secret | None = None,
        new_lock_code: Secret | None = None,
    ) -> None:
        """One write, and what came of it; a token that restarts may take its answer with it."""
        come_back = self._restarting(self._interfaces(config)) if reboot else None
        with translated("writing the device configuration"):
            session = ManagementSession(self._connect())
            try:
                session.write_device_config(
                    config,
                    reboot,
                    lock_code.reveal() if lock_code else None,
                    new_lock_code.reveal() if new_lock_code else None,
                )
            except ApduError as error:
                if error.sw != SW.SECURITY_CONDITION_NOT_SATISFIED:
                    raise
                raise AuthenticationFailed(
                    "writing the device configuration: the token has a lock code that is not ours",
                    remedy="Remove the lock code with the tool that set it, or use another token.",
                ) from error
            except TokenGone:
                if come_back is None:
                    raise
        if come_back is not None:
            come_back()
        self.refresh()

    def _interfaces(self, config: DeviceConfig) -> USB_INTERFACE:
        """Those that are on over USB once this is written."""
        for one in (config, self.info.config):
            enabled = one.enabled_capabilities.get(TRANSPORT.USB)
            if enabled is not None:
                return enabled.usb_interfaces
        return USB_INTERFACE(0)


def device_info(connection: Source) -> DeviceInfo:
    """What the management applet says.

    Raises `NotAYubiKey` for a card of another maker, before any command but SELECT is sent to it.
    """
    try:
        session = ManagementSession(connection)
    except (ApplicationNotAvailableError, ApduError, BadResponseError, ValueError) as error:
        # refused with whatever status word, or answered by a card that answers to every name
        raise NotAYubiKey(
            "this card is not a YubiKey", remedy="Use a YubiKey, or a profile for cards."
        ) from error
    with translated("reading what the token is"):
        try:
            return session.read_device_info()
        except NotSupportedError:  # firmware before 4.1: the maker's library knows other ways
            if not isinstance(connection, SmartCardConnection):
                raise
            return read_info(connection)
