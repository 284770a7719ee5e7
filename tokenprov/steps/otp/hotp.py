"""OATH HOTP in a slot (RFC 4226): a seed, and a counter that moves at each touch."""

from __future__ import annotations

from yubikit.yubiotp import HotpSlotConfiguration

from tokenprov.model import Holder, Json, SecretKind
from tokenprov.profile.modhex import MANUFACTURER_AND_TYPE, read_token_id
from tokenprov.profile.otp import BY_SERIAL, NO_TOKEN_ID, HotpSlot
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import Drawn, Intent
from tokenprov.steps.otp.typing import TypingStep, serial_number
from tokenprov.token import Token

SEED_SIZE = 20  # bytes; RFC 4226, 4, R6: 160 bits are recommended, and all that a slot holds
MAX_SERIAL = 99_999_999  # eight digits of a token identifier


class HotpStep(TypingStep):
    """A HOTP credential for an authentication server, which counts from the same number."""

    def __init__(
        self, slot: int, settings: HotpSlot, holder: Holder, *, after_swap: bool = False
    ) -> None:
        super().__init__(slot, settings, after_swap=after_swap)
        self._digits, self._counter = settings.digits, settings.counter
        self._token_id = settings.token_id.render(holder)

    def draw(self, random: RandomBytes) -> Drawn:
        """A 160-bit seed and an access code."""
        return self.drawn(SecretKind.HOTP_SEED, draw_bytes(SEED_SIZE, random), random)

    def facts(self, token: Token) -> dict[str, Json]:
        """What a server has to know beside the seed."""
        facts: dict[str, Json] = {
            "kind": "hotp",
            "digits": self._digits,
            "counter": self._counter,
        }
        if self._token_id != NO_TOKEN_ID:
            facts["tokenId"] = self._identifier(token)
        return facts

    def cannot_be_read(self) -> tuple[str, ...]:
        """All of it."""
        return "seed", "digits", "counter", "token id"

    def apply(self, token: Token, intent: Intent) -> None:
        """One write, which sets the counter back, and the proof of its access code."""
        configuration = HotpSlotConfiguration(intent.secret(self.seed_name).reveal())
        configuration.digits8(self._digits == 8).imf(self._counter)
        if self._token_id != NO_TOKEN_ID:
            found = read_token_id(self._identifier(token))
            all_of_it = found.modhex_bytes == len(found.data)
            configuration.token_id(
                found.data,
                fixed_modhex1=found.modhex_bytes == 1 or all_of_it,
                fixed_modhex2=found.modhex_bytes == 2 or all_of_it,
            )
        self.put(token, self.typed(configuration), intent)

    def _identifier(self, token: Token) -> str:
        if self._token_id != BY_SERIAL:
            return self._token_id
        return f"{MANUFACTURER_AND_TYPE}{serial_number(token, MAX_SERIAL):08}"
