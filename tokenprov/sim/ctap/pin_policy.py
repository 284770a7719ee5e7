"""Which PINs an authenticator takes (CTAP 2.1, 6.5.1 and 6.5.5.5).

Rules. A PIN is UTF-8 of at most 63 bytes, padded with zeros to 64; its length counts in code
points. With PIN complexity (firmware 5.7, YubiKey Technical Manual, "PIN complexity") a PIN must
not be one character repeated, nor one of the commonest.
"""

from __future__ import annotations

from tokenprov.sim.ctap.features import MAX_PIN_LENGTH
from tokenprov.sim.ctap.wire import CtapError, Status

PADDED_LENGTH = 64  # bytes; CTAP 2.1, 6.5.5.5

_COMMON = """
    111222 112233 112358 121212 123123 123321 123456 1234567 12345678 123456789 1234567890 123654
    123abc 147258 159753 159357 1q2w3e 1q2w3e4r 456789 520520 654321 696969 789456 87654321
    987654321 abc123 abcdef asdfgh football iloveyou letmein monkey password password1 qazwsx
    qwerty qwerty123 qwertyuiop welcome zaq12wsx
"""
COMMON_PINS = frozenset(_COMMON.split())


def unpad(padded: bytes) -> bytes:
    """The PIN within 64 padded bytes. Raises `CtapError` for another length, or no padding."""
    if len(padded) != PADDED_LENGTH:
        raise CtapError(Status.INVALID_PARAMETER)
    pin = padded.rstrip(b"\0")
    if len(pin) > MAX_PIN_LENGTH:
        raise CtapError(Status.PIN_POLICY_VIOLATION)
    return pin


def check(pin: bytes, min_length: int, complexity: bool) -> int:
    """The length of an acceptable PIN in code points. Raises `CtapError` PIN_POLICY_VIOLATION."""
    try:
        text = pin.decode()
    except UnicodeDecodeError as exc:
        raise CtapError(Status.PIN_POLICY_VIOLATION) from exc
    if len(text) < min_length:
        raise CtapError(Status.PIN_POLICY_VIOLATION)
    if complexity and (len(set(text)) == 1 or text.lower() in COMMON_PINS):
        raise CtapError(Status.PIN_POLICY_VIOLATION)
    return len(text)
