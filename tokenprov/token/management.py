"""The device configuration of a YubiKey: what is switched on, and behind which lock code."""

from __future__ import annotations

from typing import Protocol

from yubikit.core import TRANSPORT
from yubikit.management import DeviceConfig, DeviceInfo

from tokenprov.secret import Secret


class ManagementApplet(Protocol):
    """The device configuration of a YubiKey."""

    @property
    def transport(self) -> TRANSPORT:
        """How the token is connected to the station."""
        ...

    @property
    def info(self) -> DeviceInfo:
        """What the token said of itself when it was connected, or after the last write."""
        ...

    def refresh(self) -> None:
        """Read what the token says of itself again: other applets may have changed it."""
        ...

    def write(
        self,
        config: DeviceConfig,
        *,
        reboot: bool = False,
        lock_code: Secret | None = None,
        new_lock_code: Secret | None = None,
    ) -> None:
        """Write what is set in `config`, in one command, and read it back into `info`.

        With `reboot` the token restarts, and is waited for by its serial: its reader may have
        another name then. Raises `AuthenticationFailed` for a lock code that is missing or wrong,
        `TokenGone` for a token that does not come back, `TokenMoved` for one that comes back
        without its reader, or with one, and is to be taken up anew.
        """
        ...
