"""The OTP slots of a YubiKey: HMAC-SHA1 challenge-response and Yubico OTP, with access codes.

A slot is written in one command, its access code with it, so a slot holds all of it or nothing.
A seed cannot be read back: HMAC-SHA1 is proved by a response, Yubico OTP only by the token's having
taken the write. Flags that let software read the serial are set with every write.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import nullcontext

from yubikit.yubiotp import (
    HmacSha1SlotConfiguration,
    SlotConfiguration,
    YubiOtpSlotConfiguration,
)

from tokenprov.errors import AuthenticationFailed
from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, Secret, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.token import Token

ACCESS_CODE_SIZE = 6  # bytes; Yubico, "YubiKey configuration reference"
HMAC_KEY_SIZE = 20  # bytes
PRIVATE_ID_SIZE, AES_KEY_SIZE = 6, 16  # bytes
PUBLIC_ID_PREFIX = b"\xff\x00"  # "vv", then the serial: what ykman's --serial-public-id makes
MODHEX = str.maketrans("0123456789abcdef", "cbdefghijklnrtuv")


def modhex(data: bytes) -> str:
    """Bytes in the alphabet that every keyboard layout types alike."""
    return data.hex().translate(MODHEX)


class _SlotStep:
    """What the slots have in common: access code, factory credential, and writing over our own."""

    def __init__(self, slot: int, *, access_code: bool, replace_factory: bool) -> None:
        self._slot = slot
        self.id = f"otp/{slot}"
        self.title = f"OTP slot {slot}"
        self._seed_name = f"otp/{slot}/seed"
        self._access_code_name = f"otp/{slot}/access-code" if access_code else None
        self._replace_factory = replace_factory

    def _observe_untouched(self, token: Token) -> Finding:
        """Before anything was promised: empty, or in slot 1 what may be the factory's.

        The factory's credential is one that a touch sends; it cannot be told from another such.
        """
        otp = token.otp()
        if not otp.configured(self._slot):
            return Finding(state=State.ABSENT)
        if self._slot == 1 and otp.touch_triggered(self._slot):
            if self._replace_factory:
                return Finding(state=State.ABSENT, facts={"replaces": "factory credential"})
            return Finding(
                state=State.SKIPPED,
                reason="slot 1 holds a credential and replace-factory is not set",
                facts={"configured": True},
                unread=("credential",),
            )
        return Finding(state=State.CONFLICT, reason=f"OTP slot {self._slot} holds a credential")

    def _not_ours(self) -> Finding:
        return Finding(state=State.CONFLICT, reason=f"OTP slot {self._slot} holds what is not ours")

    def _draw_access_code(self, random: RandomBytes) -> dict[str, DrawnSecret]:
        if self._access_code_name is None:
            return {}
        value = draw_bytes(ACCESS_CODE_SIZE, random)
        return {self._access_code_name: DrawnSecret(kind=SecretKind.OTP_ACCESS_CODE, value=value)}

    def _access_code(self, intent: Intent) -> Secret | None:
        return intent.secret(self._access_code_name) if self._access_code_name else None

    def _unread(self, *more: str) -> tuple[str, ...]:
        return (*more, "access code") if self._access_code_name else more

    def _put(self, token: Token, configuration: SlotConfiguration, intent: Intent) -> None:
        """Write; where the slot is protected already, it is by the same write cut off before."""
        configuration.serial_api_visible(True).serial_usb_visible(True)
        secret = self._access_code(intent)
        code = secret.reveal() if secret is not None else None
        otp = token.otp()
        try:
            otp.put(self._slot, configuration, code, None)
        except AuthenticationFailed:
            if code is None:
                raise
            otp.put(self._slot, configuration, code, code)


class HmacSha1Step(_SlotStep):
    """HMAC-SHA1 challenge-response, proved by a response to a random challenge."""

    def __init__(self, slot: int, *, access_code: bool, replace_factory: bool, touch: bool) -> None:
        super().__init__(slot, access_code=access_code, replace_factory=replace_factory)
        self._touch = touch

    def draw(self, random: RandomBytes) -> Drawn:
        """A 160-bit key (RFC 2104: the length of the hash) and an access code."""
        seed = DrawnSecret(kind=SecretKind.HMAC_SEED, value=draw_bytes(HMAC_KEY_SIZE, random))
        return Drawn(secrets={self._seed_name: seed, **self._draw_access_code(random)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Empty, or ours if it answers as ours does."""
        if intent is None:
            return self._observe_untouched(token)
        otp = token.otp()
        if not otp.configured(self._slot):
            return Finding(state=State.ABSENT)
        if otp.touch_triggered(self._slot):  # no challenge-response: the write did not happen
            return Finding(state=State.ABSENT) if self._replace_factory else self._not_ours()
        challenge = os.urandom(32)
        prompt = token.touch(f"prove {self.title}") if self._touch else nullcontext()
        with prompt:
            response = otp.hmac_sha1(self._slot, challenge)
        expected = hmac.digest(intent.secret(self._seed_name).reveal(), challenge, hashlib.sha1)
        if not hmac.compare_digest(response, expected):
            return self._not_ours()
        return Finding(
            state=State.MATCH,
            facts={"kind": "hmac-sha1", "touch": self._touch},
            unread=self._unread(),
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """One command."""
        configuration = HmacSha1SlotConfiguration(intent.secret(self._seed_name).reveal())
        self._put(token, configuration.require_touch(self._touch), intent)


class YubicoOtpStep(_SlotStep):
    """A Yubico OTP credential for an authentication server."""

    def __init__(
        self, slot: int, *, access_code: bool, replace_factory: bool, append_enter: bool
    ) -> None:
        super().__init__(slot, access_code=access_code, replace_factory=replace_factory)
        self._append_enter = append_enter

    def draw(self, random: RandomBytes) -> Drawn:
        """Private id and AES key in one secret, 22 bytes, and an access code."""
        value = draw_bytes(PRIVATE_ID_SIZE + AES_KEY_SIZE, random)
        seed = DrawnSecret(kind=SecretKind.OTP_SEED, value=value)
        return Drawn(secrets={self._seed_name: seed, **self._draw_access_code(random)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Configured, and sent by a touch, is all that can be seen of it."""
        if intent is None:
            return self._observe_untouched(token)
        otp = token.otp()
        if not otp.configured(self._slot):
            return Finding(state=State.ABSENT)
        if not otp.touch_triggered(self._slot):
            return self._not_ours()
        if not intent.applied:
            return Finding(
                state=State.UNKNOWN, reason="whether the slot was written cannot be read"
            )
        return Finding(
            state=State.MATCH,
            facts={"kind": "yubico-otp", "publicId": modhex(self._public_id(token))},
            unread=self._unread("public id", "private id", "AES key"),
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """One command; a second one writes the same."""
        seed = intent.secret(self._seed_name).reveal()
        configuration = YubiOtpSlotConfiguration(
            self._public_id(token), seed[:PRIVATE_ID_SIZE], seed[PRIVATE_ID_SIZE:]
        )
        self._put(token, configuration.append_cr(self._append_enter), intent)

    def _public_id(self, token: Token) -> bytes:
        return PUBLIC_ID_PREFIX + int(token.id.serial or 0).to_bytes(4, "big")
