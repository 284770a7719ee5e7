"""The OTP slots of a YubiKey over CCID, through yubikit's session."""

from __future__ import annotations

from yubikit.core.smartcard import SW, ApduError, SmartCardConnection
from yubikit.yubiotp import SLOT, SlotConfiguration, YubiOtpSession

from tokenprov.device.translate import translated
from tokenprov.errors import AuthenticationFailed


class Otp:
    """Implements `token.OtpApplet`."""

    def __init__(self, connection: SmartCardConnection) -> None:
        with translated("selecting OTP"):
            self._session = YubiOtpSession(connection)

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
        doing = f"writing OTP slot {slot}"
        with translated(doing):
            try:
                self._session.put_configuration(
                    SLOT(slot), configuration, access_code, current_access_code
                )
            except ApduError as error:
                # a slot that is protected by another access code
                if error.sw not in (
                    SW.SECURITY_CONDITION_NOT_SATISFIED,
                    SW.CONDITIONS_NOT_SATISFIED,
                ):
                    raise
                raise AuthenticationFailed(
                    f"{doing}: refused, it is protected by an access code that is not ours",
                    remedy="Remove the access code with the tool that set it.",
                ) from error

    def hmac_sha1(self, slot: int, challenge: bytes) -> bytes:
        """The response to a challenge of up to 64 bytes."""
        with translated(f"asking OTP slot {slot} for a response"):
            return self._session.calculate_hmac_sha1(SLOT(slot), challenge)
