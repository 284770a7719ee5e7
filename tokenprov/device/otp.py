"""The OTP slots of a YubiKey over CCID or HID, through yubikit's session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from yubikit.core.otp import OtpConnection
from yubikit.core.smartcard import SW, ApduError, SmartCardConnection
from yubikit.yubiotp import (
    NDEF_TYPE,
    SLOT,
    SlotConfiguration,
    UpdateConfiguration,
    YubiOtpSession,
)

from tokenprov.device.translate import translated
from tokenprov.errors import AuthenticationFailed

_PROTECTED = (SW.SECURITY_CONDITION_NOT_SATISFIED, SW.CONDITIONS_NOT_SATISFIED)


class Otp:
    """Implements `token.OtpApplet`."""

    def __init__(self, connection: SmartCardConnection | OtpConnection) -> None:
        self._connection = connection
        self._session = self._select()

    def _select(self) -> YubiOtpSession:
        with translated("selecting OTP"):
            return YubiOtpSession(self._connection)

    @property
    def version(self) -> tuple[int, int, int]:
        """The firmware's version."""
        major, minor, patch = self._session.version
        return major, minor, patch

    def configured(self, slot: int) -> bool:
        """Whether the slot holds anything."""
        with translated("reading the OTP slots"):
            return self._session.get_config_state().is_configured(SLOT(slot))

    def touch_triggered(self, slot: int) -> bool:
        """Whether a touch sends what the slot holds (not so for challenge-response)."""
        with translated("reading the OTP slots"):
            return self._session.get_config_state().is_touch_triggered(SLOT(slot))

    def put(
        self,
        slot: int,
        configuration: SlotConfiguration,
        access_code: bytes | None,
        current_access_code: bytes | None,
    ) -> None:
        """Write a slot, with its access code, in one command."""
        with _writing(f"writing OTP slot {slot}"):
            self._session.put_configuration(
                SLOT(slot), configuration, access_code, current_access_code
            )

    def update(
        self,
        slot: int,
        configuration: UpdateConfiguration,
        access_code: bytes | None,
        current_access_code: bytes | None,
    ) -> None:
        """Change flags and access code of a slot, in one command."""
        with _writing(f"updating OTP slot {slot}"):
            self._session.update_configuration(
                SLOT(slot), configuration, access_code, current_access_code
            )

    def delete(self, slot: int, current_access_code: bytes | None = None) -> None:
        """Empty a slot, and have the status told anew: some firmware gives an old one back."""
        with _writing(f"deleting OTP slot {slot}"):
            self._session.delete_slot(SLOT(slot), current_access_code)
        self._session = self._select()

    def swap(self) -> None:
        """Swap the two slots."""
        with _writing("swapping the OTP slots"):
            self._session.swap_slots()

    def set_ndef(
        self, slot: int, kind: NDEF_TYPE, value: str, current_access_code: bytes | None
    ) -> None:
        """Have NFC give a URI or a text with what the slot types."""
        with _writing(f"setting NDEF for OTP slot {slot}"):
            self._session.set_ndef_configuration(SLOT(slot), value, current_access_code, kind)

    def hmac_sha1(self, slot: int, challenge: bytes) -> bytes:
        """The response to a challenge of up to 64 bytes."""
        with translated(f"asking OTP slot {slot} for a response"):
            return self._session.calculate_hmac_sha1(SLOT(slot), challenge)


@contextmanager
def _writing(doing: str) -> Iterator[None]:
    """As `translated`; a refusal here is that of an access code."""
    with translated(doing):
        try:
            yield
        except ApduError as error:
            if error.sw not in _PROTECTED:
                raise
            raise AuthenticationFailed(
                f"{doing}: refused, it is protected by an access code that is not ours",
                remedy="Remove the access code with the tool that set it.",
            ) from error
