"""HMAC-SHA1 challenge-response in an OTP slot."""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import nullcontext
from dataclasses import replace

from yubikit.yubiotp import HmacSha1SlotConfiguration

from tokenprov.model import SecretKind
from tokenprov.profile.otp import HmacSha1Slot
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.otp.slot import SlotStep
from tokenprov.token import Token

HMAC_KEY_SIZE = 20  # bytes


class HmacSha1Step(SlotStep):
    """HMAC-SHA1 challenge-response, proved by a response to a random challenge."""

    def __init__(self, slot: int, settings: HmacSha1Slot, *, after_swap: bool = False) -> None:
        super().__init__(slot, settings, after_swap=after_swap)
        self._touch = settings.touch

    def draw(self, random: RandomBytes) -> Drawn:
        """A 160-bit key (RFC 2104: the length of the hash) and an access code."""
        return self.drawn(SecretKind.HMAC_SEED, draw_bytes(HMAC_KEY_SIZE, random), random)

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Empty, or ours if it answers as ours does; its access code only where it was proved."""
        if intent is None:
            found = self.observe_untouched(token)
            return replace(found, blind=found.blind and self.has_access_code)
        otp = token.otp()
        if not otp.configured(self.slot):
            return Finding(state=State.ABSENT)
        if otp.touch_triggered(self.slot):  # no challenge-response: the write did not happen
            return Finding(state=State.ABSENT) if self.replace_factory else self.not_ours()
        challenge = os.urandom(32)
        prompt = token.touch(f"prove {self.title}") if self._touch else nullcontext()
        with prompt:
            response = otp.hmac_sha1(self.slot, challenge)
        expected = hmac.digest(intent.secret(self.seed_name).reveal(), challenge, hashlib.sha1)
        if not hmac.compare_digest(response, expected):
            return self.not_ours()
        if self.has_access_code and not intent.applied:
            return self.unknown()
        return self.matching(intent, {"kind": "hmac-sha1", "touch": self._touch})

    def apply(self, token: Token, intent: Intent) -> None:
        """One write, and the proof of its access code."""
        configuration = HmacSha1SlotConfiguration(intent.secret(self.seed_name).reveal())
        self.put(token, configuration.require_touch(self._touch), intent)
