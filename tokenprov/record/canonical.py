"""RFC 8785 JSON, written and checked.

Rules:
- Numbers are integers within ±(2^53 - 1) (RFC 8785, 3.2.2.3 and appendix D); fractions have more
  than one way to be read and are refused.
- What is read must be, byte for byte, what would be written: no second spelling, no doubled
  member, no trailing byte.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import NoReturn

import rfc8785

from tokenprov.errors import EvidenceError
from tokenprov.model import Json

_LARGEST = 2**53 - 1  # RFC 8785 appendix D: what every JSON reader keeps exact


class CanonicalError(EvidenceError):
    """The bytes are not the canonical form of a JSON document, or the document has none."""

    def __init__(self, message: str) -> None:
        super().__init__(message, remedy="Take the file from a copy that was not changed.")


def canonical(document: Json) -> bytes:
    """The canonical form. Raises CanonicalError where there is none: fractions, lone surrogates.

    As in `parse_canonical`, plain `json` writes it where all of it is ASCII.
    """
    try:
        _refuse_what_json_would_write(document)
        text = _ENCODER.encode(document)
        return text.encode() if text.isascii() else rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, RecursionError, TypeError) as exc:
        raise CanonicalError(f"the document has no canonical form: {exc}") from exc


def parse_canonical(data: bytes) -> Json:
    """The document whose canonical form `data` is. Raises CanonicalError, saying what is wrong.

    Plain `json` writes the same bytes as RFC 8785 when everything is ASCII and no number has a
    fraction (names then sort alike), four times as fast; anything else takes the slow way.
    """
    try:
        text = data.decode()
        document = _DECODER.decode(text)
        again = (_ENCODER.encode if data.isascii() else _encode)(document).encode()
    except UnicodeDecodeError as exc:
        raise CanonicalError(f"not UTF-8 at byte {exc.start}") from exc
    except (json.JSONDecodeError, RecursionError) as exc:
        raise CanonicalError(f"not JSON: {exc}") from exc
    except (UnicodeEncodeError, rfc8785.CanonicalizationError) as exc:
        raise CanonicalError("a character that is half of one (a lone surrogate)") from exc
    if again != data:
        at = next((i for i, (a, b) in enumerate(zip(again, data, strict=False)) if a != b), 0)
        raise CanonicalError(f"not in canonical form (RFC 8785) at byte {at}")
    return document


def timestamp(moment: datetime) -> str:
    """`2026-02-03T04:05:06Z`: RFC 3339 in UTC, to the second, the one form in all records."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# sort_keys sorts by code point; RFC 8785 by UTF-16 unit: the same for ASCII. 0x7F is left as it is
# by both because of ensure_ascii=False.
_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
)


def _encode(document: Json) -> str:
    return rfc8785.dumps(document).decode()


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > _LARGEST:
        raise CanonicalError("an integer beyond 2^53 - 1")
    return int(digits)


def _fraction(digits: str) -> NoReturn:
    raise CanonicalError(f"a number that is no integer: {digits[:24]}")


def _refuse_what_json_would_write(document: Json) -> None:
    """Refuse what plain `json` takes and RFC 8785 does not: see the rules above."""
    if isinstance(document, str):
        return
    if isinstance(document, float):
        raise CanonicalError("a number that is no integer")
    if isinstance(document, int):
        if abs(document) > _LARGEST:
            raise CanonicalError("an integer beyond 2^53 - 1")
    elif isinstance(document, dict):
        for name, value in document.items():
            if not isinstance(name, str):
                raise CanonicalError(f"a member's name that is no text: {name!r}")
            _refuse_what_json_would_write(value)
    elif isinstance(document, list | tuple):
        for value in document:
            _refuse_what_json_would_write(value)


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_fraction, parse_constant=_fraction)
