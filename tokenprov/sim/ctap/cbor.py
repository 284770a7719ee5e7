"""CBOR as CTAP2 has it: the canonical encoding, and a decoder that takes nothing else.

Rules (CTAP 2.1, 8; RFC 8949): integers and lengths as short as possible; definite lengths only;
map keys unique and sorted by major type, then length, then bytes; no tags; nesting to four levels;
text is UTF-8; nothing after the item. What is decoded and encoded again gives the same bytes, so a
part of a message can be authenticated by encoding it again. Floating-point numbers are refused:
no message of CTAP 2.1 has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

MAX_NESTING = 4  # CTAP 2.1, 8: maps and arrays within the message, four levels


class CborError(Exception):
    """The bytes are not a CTAP2 canonical CBOR item. The message says which rule they break."""


class Major(IntEnum):
    """Major types (RFC 8949, 3.1)."""

    UNSIGNED = 0
    NEGATIVE = 1
    BYTES = 2
    TEXT = 3
    ARRAY = 4
    MAP = 5
    TAG = 6
    SIMPLE = 7


FALSE, TRUE, NULL, UNDEFINED = 20, 21, 22, 23  # RFC 8949, 3.3
SIMPLE_VALUES: dict[int, bool | None] = {FALSE: False, TRUE: True, NULL: None, UNDEFINED: None}
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}  # RFC 8949, 3: additional information -> bytes that follow


def encode(value: Any) -> bytes:
    """Encode to CTAP2 canonical CBOR. Raises TypeError for a type that has no place in CTAP2."""
    if value is None:
        return _head(Major.SIMPLE, NULL)
    if isinstance(value, bool):
        return _head(Major.SIMPLE, TRUE if value else FALSE)
    if isinstance(value, int):
        if value >= 0:
            return _head(Major.UNSIGNED, value)
        return _head(Major.NEGATIVE, -1 - value)
    if isinstance(value, bytes):
        return _head(Major.BYTES, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return _head(Major.TEXT, len(text)) + text
    if isinstance(value, Mapping):
        pairs = sorted(((encode(k), encode(v)) for k, v in value.items()), key=_key_order)
        return _head(Major.MAP, len(pairs)) + b"".join(k + v for k, v in pairs)
    if isinstance(value, Sequence):
        return _head(Major.ARRAY, len(value)) + b"".join(encode(item) for item in value)
    raise TypeError(f"not a CTAP2 value: {type(value).__name__}")


def decode(raw: bytes) -> Any:
    """Decode one item that is the whole of `raw`. Raises `CborError`."""
    value, end = _decode(raw, 0, 0)
    if end != len(raw):
        raise CborError("bytes after the item")
    return value


def _key_order(pair: tuple[bytes, bytes]) -> tuple[int, int, bytes]:
    key = pair[0]
    return key[0] >> 5, len(key), key


def _head(major: Major, argument: int) -> bytes:
    first = major << 5
    if argument < 24:
        return bytes([first | argument])
    for information, width in _WIDTHS.items():
        if argument < 1 << 8 * width:
            return bytes([first | information]) + argument.to_bytes(width, "big")
    raise TypeError("an integer beyond 64 bits")


def _decode(raw: bytes, at: int, depth: int) -> tuple[Any, int]:
    major, argument, at = _decode_head(raw, at)
    if major is Major.UNSIGNED:
        return argument, at
    if major is Major.NEGATIVE:
        return -1 - argument, at
    if major in (Major.BYTES, Major.TEXT):
        end = at + argument
        if end > len(raw):
            raise CborError("a string that ends after the message")
        if major is Major.BYTES:
            return raw[at:end], end
        try:
            return raw[at:end].decode(), end
        except UnicodeDecodeError as exc:
            raise CborError("text that is not UTF-8") from exc
    if major is Major.SIMPLE:
        if argument not in SIMPLE_VALUES:
            raise CborError("a simple value that CTAP2 does not have")
        return SIMPLE_VALUES[argument], at
    if depth == MAX_NESTING:
        raise CborError("nested too deep")
    if major is Major.ARRAY:
        items = []
        for _ in range(argument):
            item, at = _decode(raw, at, depth + 1)
            items.append(item)
        return items, at
    return _decode_map(raw, at, argument, depth + 1)


def _decode_map(raw: bytes, at: int, length: int, depth: int) -> tuple[dict[Any, Any], int]:
    pairs: dict[Any, Any] = {}
    previous: tuple[int, int, bytes] | None = None
    for _ in range(length):
        start = at
        key, at = _decode(raw, at, depth)
        order = _key_order((raw[start:at], b""))
        if previous is not None and order <= previous:
            raise CborError("map keys out of order, or one of them twice")
        if type(key) not in (int, str, bytes):
            raise CborError("a map key that is neither a number nor a string")
        previous = order
        pairs[key], at = _decode(raw, at, depth)
    return pairs, at


def _decode_head(raw: bytes, at: int) -> tuple[Major, int, int]:
    if at >= len(raw):
        raise CborError("the message ends within an item")
    major, information = Major(raw[at] >> 5), raw[at] & 0x1F
    at += 1
    if major is Major.TAG:
        raise CborError("a tag")
    if information < 24:
        return major, information, at
    width = _WIDTHS.get(information)
    if width is None:
        raise CborError("an indefinite length or a reserved value")
    if major is Major.SIMPLE:
        raise CborError("a floating-point number or a long simple value")
    if at + width > len(raw):
        raise CborError("the message ends within an item")
    argument = int.from_bytes(raw[at : at + width], "big")
    if len(_head(major, argument)) != 1 + width:
        raise CborError("an integer longer than it need be")
    return major, argument, at + width
