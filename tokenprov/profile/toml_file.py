"""TOML from a person, with the line of every key; what is none is refused with its place."""

from __future__ import annotations

import re
import tomllib

from tokenprov.errors import InputError
from tokenprov.profile.inheritance import Node, located
from tokenprov.profile.lines import KeyLines

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


def document_in(data: bytes, name: str, kind: type[InputError]) -> Node:
    """The document in these bytes; `name` is for messages. Raises an error of that kind."""
    text = _text(data, name, kind)
    return located(_parsed(text, name, kind), name, KeyLines(text))


def _parsed(text: str, name: str, kind: type[InputError]) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _syntax(str(exc), text, name, kind) from exc
    except (ValueError, RecursionError) as exc:
        raise kind(
            "a number has thousands of digits, or brackets nest too deep",
            remedy="Start again from a ready one.",
            where=name,
        ) from exc


def _text(data: bytes, name: str, kind: type[InputError]) -> str:
    """TOML is UTF-8 (TOML 1.0); editors may put a BOM before it and end lines their way."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise kind(
            f"byte 0x{data[exc.start]:02x} is not UTF-8",
            remedy="Save the file as UTF-8.",
            where=f"{name}, line {line}",
        ) from exc
    return text.replace("\r\n", "\n")


def _syntax(message: str, text: str, name: str, kind: type[InputError]) -> InputError:
    place = _PLACE.search(message)
    line = int(place[1]) if place and place[1] else text.count("\n") + 1
    column = f", column {place[2]}" if place and place[2] else ""
    what = _PLACE.sub("", message)
    return kind(
        f"not TOML: {what[:1].lower()}{what[1:]}",
        remedy="Mend it there: text stands in quotes, each key and table once, one key a line.",
        where=f"{name}, line {line}{column}",
    )
