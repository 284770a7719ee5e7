"""The two OTP slots of a YubiKey."""

from __future__ import annotations

from typing import Protocol

from yubikit.yubiotp import NDEF_TYPE, SlotConfiguration, UpdateConfiguration


class OtpApplet(Protocol):
    """The two OTP slots of a YubiKey.

    What writes raises `AuthenticationFailed` where the slot is protected by another access code.
    """

    @property
    def version(self) -> tuple[int, int, int]: ...
    def configured(self, slot: int) -> bool: ...
    def touch_triggered(self, slot: int) -> bool:
        """Whether a touch sends what the slot holds (not so for challenge-response)."""
        ...

    def put(
        self,
        slot: int,
        configuration: SlotConfiguration,
        access_code: bytes | None,
        current_access_code: bytes | None,
    ) -> None:
        """Write a slot whole, with its access code, in one command."""
        ...

    def update(
        self,
        slot: int,
        configuration: UpdateConfiguration,
        access_code: bytes | None,
        current_access_code: bytes | None,
    ) -> None:
        """Change how a slot types and its access code, and nothing else, in one command."""
        ...

    def delete(self, slot: int, current_access_code: bytes | None = None) -> None:
        """Empty a slot, with its access code where it has one."""
        ...

    def swap(self) -> None:
        """Swap the two slots; neither may have an access code, and one must hold something."""
        ...

    def set_ndef(
        self, slot: int, kind: NDEF_TYPE, value: str, current_access_code: bytes | None
    ) -> None:
        """Have NFC give a URI or a text with what the slot types. At most 54 bytes of record."""
        ...

    def hmac_sha1(self, slot: int, challenge: bytes) -> bytes:
        """The response to a challenge of up to 64 bytes."""
        ...
