"""PW1, PW3 and resetting code, and the derivation of what the host sends for them.

Rules (OPGP 4.3)
- PW1 has six bytes at least, PW3 and the resetting code eight, none more than 127. What is too
  short or too long for any is refused with 6A80 and costs no try.
- The counter is decremented before the comparison and restored by success; at zero the password
  is blocked. A wrong one is answered with 6982, a blocked one with 6983 (a YubiKey's way: it does
  not say 63CX).
- There is no resetting code from the factory: it has no tries until one is set.
- DO F9 says how the host derives what it sends. Writing it sets PW1 and PW3 to the initial hashes
  in it, or to the factory's values when it says "none", and removes the resetting code. With it the
  card sees hashes only, so that no rule for the digits of a PIN can be kept.
- With PIN complexity (firmware 5.7) a new value is neither one repeated character nor a common one.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.piv_reference_data import COMMON
from tokenprov.sim.applets.piv_wire import read_distinct, tlv

DEFAULT_USER = b"123456"
DEFAULT_ADMIN = b"12345678"
DEFAULT_TRIES = 3
MAXIMUM = 0x7F  # bytes


class KdfTag(IntEnum):
    """Tags in DO F9 (OPGP 4.3.2)."""

    ALGORITHM = 0x81
    HASH = 0x82
    COUNT = 0x83  # bytes to hash
    SALT_USER = 0x84
    SALT_RESET = 0x85
    SALT_ADMIN = 0x86
    INITIAL_USER = 0x87
    INITIAL_ADMIN = 0x88


KDF_NONE = 0x00
KDF_ITERATED_SALTED = 0x03  # RFC 4880, 3.7.1.3
KDF_HASH_BYTES = {0x08: 32, 0x0A: 64}  # SHA-256 and SHA-512 (RFC 4880, 9.4)
KDF_SALT_BYTES = 8
NO_KDF = tlv(KdfTag.ALGORITHM, bytes([KDF_NONE]))


@dataclass(slots=True, kw_only=True)
class Password:
    """One password: its value, what counts as the factory's, and its tries."""

    value: bytes = field(repr=False)
    default: bytes = field(repr=False)
    minimum: int  # bytes
    tries: int = DEFAULT_TRIES
    left: int = DEFAULT_TRIES

    @property
    def blocked(self) -> bool:
        """Whether no try is left; a resetting code that is not set has none."""
        return self.left == 0

    @property
    def is_default(self) -> bool:
        """Whether it still has the value from the factory."""
        return self.value == self.default

    def check(self, value: bytes) -> None:
        """Refuse with 6A80 what cannot be such a password."""
        if not self.minimum <= len(value) <= MAXIMUM:
            raise Refusal(SW.INCORRECT_PARAMETERS)

    def attempt(self, value: bytes) -> bool:
        """Spend a try on `value`; a right one restores the counter. False also when blocked."""
        if self.blocked:
            return False
        self.left -= 1
        if not hmac.compare_digest(value, self.value):
            return False
        self.left = self.tries
        return True

    def refusal(self) -> Refusal:
        """What a wrong or blocked password is answered with."""
        return Refusal(SW.AUTH_METHOD_BLOCKED if self.blocked else SW.SECURITY_NOT_SATISFIED)

    def set(self, value: bytes) -> None:
        """Take a new value, with all tries; without one there are no tries."""
        self.value = value
        self.left = self.tries if value else 0

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "value": self.value.hex(),
            "default": self.default.hex(),
            "tries": self.tries,
            "left": self.left,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self.value = bytes.fromhex(state["value"])
        self.default = bytes.fromhex(state["default"])
        self.tries, self.left = state["tries"], state["left"]


class Passwords:
    """The three passwords of a card and its DO F9."""

    def __init__(self, *, complexity: bool) -> None:
        self._complexity = complexity
        self.restore()

    def restore(self) -> None:
        """Be as from the factory."""
        self.user = Password(value=DEFAULT_USER, default=DEFAULT_USER, minimum=6)
        self.admin = Password(value=DEFAULT_ADMIN, default=DEFAULT_ADMIN, minimum=8)
        self.reset = Password(value=b"", default=b"", minimum=8, left=0)
        self.kdf = NO_KDF

    def check_new(self, password: Password, value: bytes) -> None:
        """Refuse a new value: 6A80 for its length, 6985 for its want of complexity."""
        password.check(value)
        if self._complexity and self.kdf == NO_KDF:
            text = value.decode("utf-8", errors="replace").lower()
            if len(set(text)) == 1 or text in COMMON:
                raise Refusal(SW.CONDITIONS_NOT_SATISFIED)

    def set_kdf(self, content: bytes) -> None:
        """Write DO F9 and set the passwords as it says. Raises `Refusal` 6A80."""
        initial_user, initial_admin = read_kdf(content)
        for password, initial in ((self.user, initial_user), (self.admin, initial_admin)):
            password.default = initial
            password.set(initial)
        self.reset.set(b"")
        self.kdf = content

    def set_tries(self, user: int, reset: int, admin: int) -> None:
        """Allow so many tries; no value changes."""
        for password, tries in ((self.user, user), (self.reset, reset), (self.admin, admin)):
            password.tries = tries
            password.left = tries if password.value else 0

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "user": self.user.dump(),
            "admin": self.admin.dump(),
            "reset": self.reset.dump(),
            "kdf": self.kdf.hex(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self.user.load(state["user"])
        self.admin.load(state["admin"])
        self.reset.load(state["reset"])
        self.kdf = bytes.fromhex(state["kdf"])


def read_kdf(content: bytes) -> tuple[bytes, bytes]:
    """The initial values of PW1 and PW3 in a DO F9. Raises `Refusal` 6A80 for a DO that is none."""
    if content == NO_KDF:
        return DEFAULT_USER, DEFAULT_ADMIN
    fields = read_distinct(content)
    salts = {KdfTag.SALT_USER, KdfTag.SALT_RESET, KdfTag.SALT_ADMIN} & fields.keys()
    size = KDF_HASH_BYTES.get(int.from_bytes(fields.get(KdfTag.HASH, b"")))
    initial = [fields.get(tag, b"") for tag in (KdfTag.INITIAL_USER, KdfTag.INITIAL_ADMIN)]
    if (
        fields.get(KdfTag.ALGORITHM) != bytes([KDF_ITERATED_SALTED])
        or len(fields.get(KdfTag.COUNT, b"")) != 4
        or KdfTag.SALT_USER not in salts
        or any(len(fields[tag]) != KDF_SALT_BYTES for tag in salts)
        or any(len(value) != size for value in initial)
        or not fields.keys() <= set(KdfTag)
    ):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return initial[0], initial[1]
