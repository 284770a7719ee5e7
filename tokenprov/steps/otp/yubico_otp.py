"""Yubico OTP in a slot: proved only by the token's having taken the write."""

from __future__ import annotations

from yubikit.yubiotp import YubiOtpSlotConfiguration

from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.steps.otp.slot import SlotStep
from tokenprov.token import Token

PRIVATE_ID_SIZE, AES_KEY_SIZE = 6, 16  # bytes
PUBLIC_ID_PREFIX = b"\xff\x00"  # "vv", then the serial: what ykman's --serial-public-id makes
MODHEX = str.maketrans("0123456789abcdef", "cbdefghijklnrtuv")


def modhex(data: bytes) -> str:
    """Bytes in the alphabet that every keyboard layout types alike."""
    return data.hex().translate(MODHEX)


class YubicoOtpStep(SlotStep):
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
        return Drawn(secrets={self.seed_name: seed, **self.draw_access_code(random)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Configured, and sent by a touch, is all that can be seen of it."""
        if intent is None:
            return self.observe_untouched(token)
        otp = token.otp()
        if not otp.configured(self.slot):
            return Finding(state=State.ABSENT)
        if not otp.touch_triggered(self.slot):
            return self.not_ours()
        if not intent.applied:
            return Finding(
                state=State.UNKNOWN, reason="whether the slot was written cannot be read"
            )
        return Finding(
            state=State.MATCH,
            facts={"kind": "yubico-otp", "publicId": modhex(self._public_id(token))},
            unread=self.unread("public id", "private id", "AES key"),
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """One command; a second one writes the same."""
        seed = intent.secret(self.seed_name).reveal()
        configuration = YubiOtpSlotConfiguration(
            self._public_id(token), seed[:PRIVATE_ID_SIZE], seed[PRIVATE_ID_SIZE:]
        )
        self.put(token, configuration.append_cr(self._append_enter), intent)

    def _public_id(self, token: Token) -> bytes:
        return PUBLIC_ID_PREFIX + int(token.id.serial or 0).to_bytes(4, "big")
