"""The pinUvAuthToken: what it permits, to whom, and for how long (CTAP 2.1, 6.5.2 and 6.5.5.7).

Rules. There is one token at a time, with a value of its own for each protocol. It ends when it is
reset, when 30 seconds pass before its first use, or ten minutes after it was given. It serves one
RP ID at most, and loses its permissions, but for large blobs, with the operation that the user
agreed to. Before CTAP 2.1 a token permits everything until power is lost.
"""

from __future__ import annotations

from collections.abc import Callable

from tokenprov.sim.ctap.pin_protocol import TOKEN_LENGTH, PinUvAuthProtocol
from tokenprov.sim.ctap.wire import Permission

INITIAL_USAGE_LIMIT = 30.0  # seconds; CTAP 2.1, 6.5.2.1, for USB
MAX_USAGE_PERIOD = 600.0  # seconds; CTAP 2.1, 6.5.2.1


class PinUvAuthToken:
    """The token's values and state. `limited` is whether it follows CTAP 2.1."""

    def __init__(
        self,
        protocols: dict[int, PinUvAuthProtocol],
        random: Callable[[int], bytes],
        clock: Callable[[], float],
        limited: bool,
    ) -> None:
        self._protocols = protocols
        self._random = random
        self._clock = clock
        self._limited = limited
        self.reset()

    def reset(self) -> None:
        """Draw new values and stop using them (resetPinUvAuthToken, 6.5.5.7)."""
        self._values = {number: self._random(TOKEN_LENGTH) for number in self._protocols}
        self._given_at: float | None = None
        self._used = False
        self.permissions = Permission.NONE
        self.rp_id: str | None = None
        self.user_verified = False

    def begin(self, protocol: int, permissions: Permission, rp_id: str | None) -> bytes:
        """A new token for a user who entered the PIN: its value under that protocol."""
        self.reset()
        self._given_at = self._clock()
        self.permissions = permissions
        self.rp_id = rp_id
        self.user_verified = True
        return self._values[protocol]

    def verify(self, protocol: int, message: bytes, signature: bytes) -> bool:
        """Whether the MAC is by the token while it is in use."""
        if self._given_at is None or self._expired():
            return False
        if not self._protocols[protocol].verify(self._values[protocol], message, signature):
            return False
        self._used = True
        return True

    def permits(self, permission: Permission) -> bool:
        """Whether it was given for that."""
        return not self._limited or bool(self.permissions & permission)

    def serves(self, rp_id: str) -> bool:
        """Whether it may be used for that RP; the first use binds a token that names none."""
        if not self._limited:
            return True
        if self.rp_id is None:
            self.rp_id = rp_id
        return self.rp_id == rp_id

    def user_acted(self) -> None:
        """An operation was approved: the token has served (6.1.2 step 14, 6.2.2 step 9)."""
        if self._limited:
            self.user_verified = False
            self.permissions &= Permission.LARGE_BLOB_WRITE

    def _expired(self) -> bool:
        if not self._limited or self._given_at is None:
            return False
        age = self._clock() - self._given_at
        if age > MAX_USAGE_PERIOD or (not self._used and age > INITIAL_USAGE_LIMIT):
            self.reset()
            return True
        return False
