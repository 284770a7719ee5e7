"""Yubico OTP in a slot, for a validation server that has its private id and key."""

from __future__ import annotations

from typing import TypeVar

from yubikit.yubiotp import UpdateConfiguration, YubiOtpSlotConfiguration

from tokenprov.model import Holder, Json, SecretKind
from tokenprov.profile.modhex import modhex, read_public_id
from tokenprov.profile.otp import BY_SERIAL, YubicoOtpSlot
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import Drawn, Intent
from tokenprov.steps.otp.typing import TypingStep, serial_number
from tokenprov.token import Token

PRIVATE_ID_SIZE, AES_KEY_SIZE = 6, 16  # bytes
PUBLIC_ID_PREFIX = b"\xff\x00"  # "vv", then the serial: what ykman's --serial-public-id makes
MAX_SERIAL = 0xFFFFFFFF

_Spaced = TypeVar("_Spaced", YubiOtpSlotConfiguration, UpdateConfiguration)


class YubicoOtpStep(TypingStep):
    """A Yubico OTP credential for an authentication server."""

    def __init__(
        self, slot: int, settings: YubicoOtpSlot, holder: Holder, *, after_swap: bool = False
    ) -> None:
        super().__init__(slot, settings, after_swap=after_swap)
        text = settings.public_id.render(holder)
        self._given = None if text == BY_SERIAL else read_public_id(text)
        self._tabs, self._delays = settings.tabs, settings.delays

    def draw(self, random: RandomBytes) -> Drawn:
        """Private id and AES key in one secret, 22 bytes, and an access code."""
        seed = draw_bytes(PRIVATE_ID_SIZE + AES_KEY_SIZE, random)
        return self.drawn(SecretKind.OTP_SEED, seed, random)

    def facts(self, token: Token) -> dict[str, Json]:
        """The public id."""
        return {"kind": "yubico-otp", "publicId": modhex(self._public_id(token))}

    def cannot_be_read(self) -> tuple[str, ...]:
        """All of it."""
        return "public id", "private id", "AES key"

    def apply(self, token: Token, intent: Intent) -> None:
        """One write, and the proof of its access code."""
        seed = intent.secret(self.seed_name).reveal()
        configuration = YubiOtpSlotConfiguration(
            self._public_id(token), seed[:PRIVATE_ID_SIZE], seed[PRIVATE_ID_SIZE:]
        )
        self.put(token, self._spaced(self.typed(configuration)), intent)

    def typing(self) -> UpdateConfiguration:
        """With its tabs and delays."""
        return self._spaced(super().typing())

    def _spaced(self, configuration: _Spaced) -> _Spaced:
        configuration.tabs(
            before="before" in self._tabs,
            after_first="after-id" in self._tabs,
            after_second="after-code" in self._tabs,
        )
        configuration.delay(
            after_first="after-id" in self._delays, after_second="after-code" in self._delays
        )
        return configuration

    def _public_id(self, token: Token) -> bytes:
        if self._given is not None:
            return self._given
        return PUBLIC_ID_PREFIX + serial_number(token, MAX_SERIAL).to_bytes(4, "big")
