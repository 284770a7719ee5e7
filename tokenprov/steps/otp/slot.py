"""What the OTP slots have in common: access code, factory credential, writing over our own.

A slot is written in one command, its access code with it, so a slot holds all of it or nothing.
A seed cannot be read back. Flags that let software read the serial are set with every write.
"""

from __future__ import annotations

from yubikit.yubiotp import SlotConfiguration

from tokenprov.errors import AuthenticationFailed
from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, Secret, draw_bytes
from tokenprov.step import DrawnSecret, Finding, Intent, State
from tokenprov.token import Token

ACCESS_CODE_SIZE = 6  # bytes; Yubico, "YubiKey configuration reference"


class SlotStep:
    """What the slots have in common: access code, factory credential, and writing over our own."""

    def __init__(self, slot: int, *, access_code: bool, replace_factory: bool) -> None:
        self.slot = slot
        self.id = f"otp/{slot}"
        self.title = f"OTP slot {slot}"
        self.seed_name = f"otp/{slot}/seed"
        self._access_code_name = f"otp/{slot}/access-code" if access_code else None
        self.replace_factory = replace_factory

    def observe_untouched(self, token: Token) -> Finding:
        """Before anything was promised: empty, or in slot 1 what may be the factory's.

        The factory's credential is one that a touch sends; it cannot be told from another such.
        """
        otp = token.otp()
        if not otp.configured(self.slot):
            return Finding(state=State.ABSENT)
        if self.slot == 1 and otp.touch_triggered(self.slot):
            if self.replace_factory:
                return Finding(state=State.ABSENT, facts={"replaces": "factory credential"})
            return Finding(
                state=State.SKIPPED,
                reason="slot 1 holds a credential and replace-factory is not set",
                facts={"configured": True},
                unread=("credential",),
            )
        return Finding(state=State.CONFLICT, reason=f"OTP slot {self.slot} holds a credential")

    def not_ours(self) -> Finding:
        return Finding(state=State.CONFLICT, reason=f"OTP slot {self.slot} holds what is not ours")

    def draw_access_code(self, random: RandomBytes) -> dict[str, DrawnSecret]:
        if self._access_code_name is None:
            return {}
        value = draw_bytes(ACCESS_CODE_SIZE, random)
        return {self._access_code_name: DrawnSecret(kind=SecretKind.OTP_ACCESS_CODE, value=value)}

    def _access_code(self, intent: Intent) -> Secret | None:
        return intent.secret(self._access_code_name) if self._access_code_name else None

    def unread(self, *more: str) -> tuple[str, ...]:
        return (*more, "access code") if self._access_code_name else more

    def put(self, token: Token, configuration: SlotConfiguration, intent: Intent) -> None:
        """Write; where the slot is protected already, it is by the same write cut off before."""
        configuration.serial_api_visible(True).serial_usb_visible(True)
        secret = self._access_code(intent)
        code = secret.reveal() if secret is not None else None
        otp = token.otp()
        try:
            otp.put(self.slot, configuration, code, None)
        except AuthenticationFailed:
            if code is None:
                raise
            otp.put(self.slot, configuration, code, code)
