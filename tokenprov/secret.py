"""Secrets: a value that never prints, and the rules by which PINs, PUKs and keys are drawn.

Rules:
- A `Secret` has no str, repr, format, JSON or pickle that shows it; `reveal()` is the one way, and
  the only callers are what writes a token, seals an envelope, or shows a custodian what was asked.
- Drawn from the operating system's generator unless the caller hands one in.
- A PIN is checked here, offline, before a try is spent (SP 800-63B-4, 3.1.1: not a common value).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import NoReturn

RandomBytes = Callable[[int], bytes]

PIV_PIN_LENGTH = range(6, 9)  # SP 800-73-4 part 2, 2.4.3: 6 to 8 bytes
FIDO_PIN_LENGTH = range(4, 64)  # CTAP 2.1, 6.5.1: 4 code points to 63 bytes

DIGITS = "0123456789"
LETTERS_AND_DIGITS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another

_SEQUENCES = ("0123456789", "9876543210", "abcdefghijklmnopqrstuvwxyz", "qwertzuiop", "qwertyuiop")


class Secret:
    """Secret bytes that never reach a log, a command line, an exception or a trace."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves. Call it where they are used, never to keep them."""
        return self._value

    def reveal_text(self) -> str:
        """The text that the secret is (a PIN, a password)."""
        return self._value.decode()

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(•••)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def weakness(pin: str) -> str | None:
    """Why a PIN or PUK would be among the first guesses, or None.

    Repeated characters, runs up or down, repeated halves (SP 800-63B-4, 3.1.1.2; the YubiKey's
    PIN complexity, firmware 5.7, refuses the same and more).
    """
    if not pin:
        return "it is empty"
    if len(set(pin)) < 3:
        return "it has fewer than three different characters"
    lowered = pin.lower()
    if any(lowered in sequence * 2 for sequence in _SEQUENCES):
        return "it is a run of neighbours"
    half, odd = divmod(len(pin), 2)
    if not odd and pin[:half] == pin[half:]:
        return "its halves are the same"
    if pin == pin[::-1] and len(pin) >= 6:
        return "it reads the same backwards"
    if lowered in _COMMON:
        return "it is a common one"
    return None


_COMMON = frozenset(
    (
        *("12345678", "123456", "11223344", "112233", "121212", "123123", "12341234", "00112233"),
        *("13579246", "24681357", "147258", "159753", "123321", "696969", "102030"),
        *("password", "passw0rd", "qwerty", "letmein", "welcome", "changeme"),
        # YubiKey Technical Manual, "PIN complexity": what a token that enforces it refuses
        *("111222", "112358", "123654", "159357", "456789", "520520", "654321", "789456"),
        *("123abc", "1q2w3e", "1q2w3e4r", "abc123", "abcdef", "asdfgh", "football", "iloveyou"),
        *("monkey", "password1", "qazwsx", "qwerty123", "zaq12wsx"),
    )
)


def draw_digits(length: int, random: RandomBytes = secrets.token_bytes) -> Secret:
    """A uniformly drawn PIN of that many decimal digits; a weak one is drawn again."""
    return draw_text(length, DIGITS, random)


def draw_text(length: int, alphabet: str, random: RandomBytes = secrets.token_bytes) -> Secret:
    """A uniformly drawn PIN of that many characters of an alphabet; a weak one is drawn again."""
    usable = 256 - 256 % len(alphabet)  # a byte from here on would favour the first characters
    while True:
        text = ""
        while len(text) < length:
            text += "".join(alphabet[b % len(alphabet)] for b in random(length) if b < usable)
        if weakness(text[:length]) is None:
            return Secret(text[:length])


def draw_bytes(length: int, random: RandomBytes = secrets.token_bytes) -> Secret:
    """A key of that many bytes."""
    return Secret(random(length))
