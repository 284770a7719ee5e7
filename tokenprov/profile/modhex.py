"""The identities that an OTP slot types before the code, as people write them.

Modhex ("YubiKey Manual" 3.4) is hexadecimal in the sixteen letters that every keyboard layout
types alike. An OATH token identifier ("OATH Token Identifier Specification" 1.0) has twelve
characters: two of the manufacturer, two of the token's type, eight of the token itself. A slot
keeps it as six bytes and types the first none, one, two or six in modhex, the rest as digits.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenprov.errors import ProfileError

MODHEX = "cbdefghijklnrtuv"
MAX_PUBLIC_ID = 16  # bytes
TOKEN_ID_LENGTH = 12  # characters
MANUFACTURER_AND_TYPE = "ubhe"  # Yubico, event-based

_TO_MODHEX = str.maketrans("0123456789abcdef", MODHEX)
_FROM_MODHEX = str.maketrans(MODHEX, "0123456789abcdef")


def modhex(data: bytes) -> str:
    """Bytes in modhex."""
    return data.hex().translate(_TO_MODHEX)


def is_modhex(text: str) -> bool:
    """Whether every character is a modhex digit."""
    return all(character in MODHEX for character in text)


def public_id_fault(text: str) -> str:
    """Why a text is not a public id, or "" if it is."""
    if not is_modhex(text):
        return f"{text!r} is not modhex: it may hold {MODHEX} only"
    if not text or len(text) % 2 or len(text) > 2 * MAX_PUBLIC_ID:
        return f"{text!r} is not a public id: 2 to {2 * MAX_PUBLIC_ID} characters, an even number"
    return ""


def read_public_id(text: str) -> bytes:
    """A public id's bytes. Raises ProfileError."""
    fault = public_id_fault(text)
    if fault:
        raise ProfileError(fault, remedy="Write it as the validation server knows it.")
    return bytes.fromhex(text.translate(_FROM_MODHEX))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIdentifier:
    """An OATH token identifier as a slot keeps it."""

    data: bytes
    modhex_bytes: int  # how many of the first bytes are typed in modhex: 0, 1, 2 or all


def token_id_fault(text: str) -> str:
    """Why a text is not a token identifier, or "" if it is."""
    if len(text) != TOKEN_ID_LENGTH:
        return f"{text!r} is not a token identifier: it has {TOKEN_ID_LENGTH} characters"
    parts = _parts(text)
    if not all(is_modhex(part) or (part.isascii() and part.isdigit()) for part in parts):
        return f"{text!r} is not a token identifier: each part is modhex or digits"
    if sorted(parts, key=is_modhex, reverse=True) != list(parts):
        return f"{text!r} is not a token identifier: no modhex may come after digits"
    return ""


def read_token_id(text: str) -> TokenIdentifier:
    """A token identifier's bytes and form. Raises ProfileError."""
    fault = token_id_fault(text)
    if fault:
        raise ProfileError(fault, remedy=f'Write it as in "{MANUFACTURER_AND_TYPE}01234567".')
    parts = _parts(text)
    data = b"".join(
        bytes.fromhex(part.translate(_FROM_MODHEX) if is_modhex(part) else part) for part in parts
    )
    lettered = sum(map(is_modhex, parts))
    return TokenIdentifier(data=data, modhex_bytes=len(data) if lettered == 3 else lettered)


def _parts(text: str) -> tuple[str, str, str]:
    return text[:2], text[2:4], text[4:]
