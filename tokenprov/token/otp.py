"""The two OTP slots of a YubiKey."""

from __future__ import annotations

from typing import Protocol

from yubikit.yubiotp import SlotConfiguration


class OtpApplet(Protocol):
    """The two OTP slots of a YubiKey."""

    @property
    def version(self) -> tuple[int, int, int]: ...
    def configured(self, slot: int) -> bool: ...
    def touch_triggered(self, slot: int) -> bool: ...
    def put(
        self,
        slot: int,
        configuration: SlotConfiguration,
        access_code: bytes | None,
        current_access_code: bytes | None,
    ) -> None:
        """Raises `AuthenticationFailed` when the slot is protected by another access code."""
        ...

    def hmac_sha1(self, slot: int, challenge: bytes) -> bytes: ...
