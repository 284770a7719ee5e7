"""RFC 8785 JSON, written and checked.

Rules:
- Numbers are integers within ±(2^53 - 1) (RFC 8785, 3.2.2.3 and appendix D); fractions have more
  than one way to be read and are refused.
- What is read must be, byte for byte, what would be written: no second spelling, no doubled
  member, no trailing byte.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import NoReturn

import orjson
import rfc8785

from tokenprov.errors import EvidenceError
from tokenprov.model import Json

_LARGEST = 2**53 - 1  # RFC 8785 appendix D: what every JSON reader keeps exact


class CanonicalError(EvidenceError):
    """The bytes are not the canonical form of a JSON document, or the document has none."""

    def __init__(self, message: str) -> None:
        super().__init__(message, remedy="Take the file from a copy that was not changed.")


def canonical(document: Json) -> bytes:
    """The canonical form. Raises CanonicalError where there is none: fractions, lone surrogates."""
    try:
        _refuse_two_readings(document)
        data = orjson.dumps(document, option=_SORTED)
        return data if _is_plain(data) else rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, RecursionError, TypeError) as exc:
        raise CanonicalError(f"the document has no canonical form: {exc}") from exc


def parse_canonical(data: bytes) -> Json:
    """The document whose canonical form `data` is. Raises CanonicalError, saying what is wrong."""
    if _is_plain(data):
        with suppress(ValueError, TypeError):  # which are looked at below, too
            document = orjson.loads(data)
            if orjson.dumps(document, option=_SORTED) == data:
                return document
    try:
        document = _DECODER.decode(data.decode())
        again = rfc8785.dumps(document)
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


# Where texts are ASCII without an escape and no number has a fraction, a writer that sorts by bytes
# and keeps to integers within 2^53 - 1 writes what RFC 8785 does, ten times as fast.
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_FRACTION = re.compile(rb"[.+]|[eE]-")


def _is_plain(data: bytes) -> bool:
    if b"\\" in data or not data.isascii():
        return False
    between_texts = b"".join(data.split(b'"')[::2])
    return _FRACTION.search(between_texts) is None


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > _LARGEST:
        raise CanonicalError("an integer beyond 2^53 - 1")
    return int(digits)


def _fraction(digits: str) -> NoReturn:
    raise CanonicalError(f"a number that is no integer: {digits[:24]}")


def _refuse_two_readings(document: Json) -> None:
    """Refuse numbers that not every reader takes for the same: see the rules above."""
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
            _refuse_two_readings(value)
    elif isinstance(document, list | tuple):
        for value in document:
            _refuse_two_readings(value)


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_fraction, parse_constant=_fraction)
