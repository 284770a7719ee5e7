"""PIN and PUK: how they are kept, tried and changed.

Rules
- Eight bytes on the wire; a shorter value is padded with FF (SP 800-73-4 part 2, 2.4.3).
- The counter is decremented before the comparison and restored by success; at zero the value is
  blocked and nothing is compared (SP 800-73-4 part 2, 3.2.1).
- The card answers 63CX with the tries left, at most 15 of them (ISO/IEC 7816-4, table 6).
- A standard card refuses a malformed value with 6A80 and spends no try on it: PINs are six to
  eight decimal digits, a PUK is eight bytes. A YubiKey compares whatever comes, and is particular
  only about new values: six to eight bytes, from firmware 5.7 characters of UTF-8.
- With PIN complexity (firmware 5.7) a new value is neither one repeated character nor on the
  published list of common ones (YubiKey Technical Manual, "PIN complexity"); refused with 6985.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Any

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.piv_features import Features

SIZE = 8  # bytes, padded
PADDING = b"\xff"
DEFAULT_PIN = b"123456\xff\xff"
DEFAULT_PUK = b"12345678"
DEFAULT_TRIES = 3
TRIES_SHOWN = 15

_COMMON = """
123456 123123 654321 123321 112233 121212 123456789 password qwerty 12345678 1234567 520520
123654 1234567890 159753 qwerty123 abc123 password1 iloveyou 1q2w3e4r
"""
COMMON = frozenset(_COMMON.split())


@dataclass(slots=True, kw_only=True)
class ReferenceData:
    """A PIN or a PUK: its padded value, tries allowed in a row, and tries left."""

    value: bytes = field(repr=False)
    default: bytes = field(repr=False)
    tries: int = DEFAULT_TRIES
    left: int = DEFAULT_TRIES

    @property
    def blocked(self) -> bool:
        """Whether no try is left."""
        return self.left == 0

    @property
    def is_default(self) -> bool:
        """Whether it still has the value from the factory."""
        return self.value == self.default

    def refusal(self) -> Refusal:
        """What to answer when it is not verified: 63CX, or 6983 when blocked."""
        if self.blocked:
            return Refusal(SW.AUTH_METHOD_BLOCKED)
        return Refusal(SW.VERIFY_FAILED | min(self.left, TRIES_SHOWN))

    def attempt(self, value: bytes) -> bool:
        """Spend a try on `value`; a right one restores the counter. False also when blocked."""
        if self.blocked:
            return False
        self.left -= 1
        if not hmac.compare_digest(value, self.value):
            return False
        self.left = self.tries
        return True

    def set(self, value: bytes) -> None:
        """Take a new value, with all tries."""
        self.value = value
        self.left = self.tries

    def restore(self, tries: int) -> None:
        """Go back to the factory's value, with this many tries."""
        self.value, self.tries, self.left = self.default, tries, tries

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {"value": self.value.hex(), "tries": self.tries, "left": self.left}

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self.value = bytes.fromhex(state["value"])
        self.tries, self.left = state["tries"], state["left"]


def check_presented(value: bytes, features: Features, *, is_pin: bool) -> None:
    """Refuse with 6A80 a presented value that is malformed for this card."""
    if len(value) != SIZE:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if not features.vendor and is_pin:
        _check_digits(value)


def check_new(value: bytes, features: Features, *, is_pin: bool) -> None:
    """Refuse a new value that breaks the rules: 6A80 for its form, 6985 for its complexity."""
    if len(value) != SIZE:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if not features.vendor:
        if is_pin:
            _check_digits(value)
        return
    plain = value.rstrip(PADDING)
    if features.pin_in_characters:
        try:
            text = plain.decode()
        except UnicodeDecodeError:
            raise Refusal(SW.INCORRECT_PARAMETERS) from None
        length = len(text)
    else:
        text, length = plain.decode("latin-1"), len(plain)
    if length < features.pin_minimum:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if features.pin_complexity and (len(set(text)) == 1 or text.lower() in COMMON):
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)


def _check_digits(value: bytes) -> None:
    plain = value.rstrip(PADDING)
    if len(plain) < 6 or not all(0x30 <= byte <= 0x39 for byte in plain):
        raise Refusal(SW.INCORRECT_PARAMETERS)
