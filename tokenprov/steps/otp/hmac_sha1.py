"""HMAC-SHA1 challenge-response in an OTP slot."""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import nullcontext

from yubikit.yubiotp import HmacSha1SlotConfiguration

from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.steps.otp.slot import SlotStep
from tokenprov.token import Token

HMAC_KEY_SIZE = 20  # bytes


class HmacSha1Step(SlotStep):
    """HMAC-SHA1 challenge-response, proved by a response to a random challenge."""

    def __init__(self, slot: int, *, access_code: bool, replace_factory: bool, touch: bool) -> None:
        super().__init__(slot, access_code=access_code, replace_factory=replace_factory)
        self._touch = touch

    def draw(self, random: RandomBytes) -> Drawn:
        """A 160-bit key (RFC 2104: the length of the hash) and an access code."""
        seed = DrawnSecret(kind=SecretKind.HMAC_SEED, value=draw_bytes(HMAC_KEY_SIZE, random))
        return Drawn(secrets={self.seed_name: seed, **self.draw_access_code(random)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Empty, or ours if it answers as ours does."""
        if intent is None:
            return self.observe_untouched(token)
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
        return Finding(
            state=State.MATCH,
            facts={"kind": "hmac-sha1", "touch": self._touch},
            unread=self.unread(),
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """One command."""
        configuration = HmacSha1SlotConfiguration(intent.secret(self.seed_name).reveal())
        self.put(token, configuration.require_touch(self._touch), intent)
