"""Settings by their path, as people write it: `piv.keys[9a].touch-policy`.

In brackets stands what tells an item of an array from the others (`IDENTITIES`), or its number
from 0. What is in brackets may hold dots: `fido2.credentials[login.example.test].protection`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tokenprov.model import Json

Path = tuple[str | int, ...]

# keys that tell an item from the others of its array: the first that it has
IDENTITIES = ("slot", "rp-id", "id", "label", "issuer", "name")

_PART = re.compile(r"(?:\A|\.)([a-z0-9-]+)|\[([^\[\]]+)\]")


def identity(item: Any) -> str | None:
    """What tells this table from the others of its array, or None."""
    if not isinstance(item, dict):
        return None
    for key in IDENTITIES:
        if key in item:
            return str(item[key])
    return None


def parse_path(text: str) -> Sequence[str] | None:
    """The parts of a path, an item's still in words; None where it is no path."""
    parts: list[str] = []
    end = 0
    for match in _PART.finditer(text):
        if match.start() != end:
            return None
        end = match.end()
        parts.append(match[1] or match[2])
    return parts if parts and end == len(text) else None


def find(document: Json, text: str) -> Path | None:
    """Where the setting with that path stands in a document; None where there is none."""
    found: Path = ()
    here = document
    for part in parse_path(text) or ():
        if isinstance(here, dict) and part in here:
            found, here = (*found, part), here[part]
            continue
        index = item_index(here, part) if isinstance(here, list) else None
        if index is None:
            return None
        found, here = (*found, index), here[index]
    return found or None


def within(document: Json, text: str, place: Path) -> bool:
    """Whether a path names what stands at a place, or something in it that may be left unsaid."""
    parts = list(parse_path(text) or ())
    here: Json = document
    for depth, wanted in enumerate(place):
        if depth == len(parts):
            return False
        part = parts[depth]
        index = item_index(here, part) if isinstance(here, list) else part
        if index != wanted:
            return False
        here = here[wanted]
    return True


def item_index(items: Sequence[Any], part: str) -> int | None:
    """The place of the item that an identity or a number names."""
    for index, item in enumerate(items):
        if identity(item) == part:
            return index
    return int(part) if part.isascii() and part.isdecimal() and int(part) < len(items) else None


def settings(document: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every value of a document with its path; an array of plain values is one value."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from settings(value, f"{path}.{key}" if path else key)
    elif isinstance(document, list) and any(isinstance(item, dict) for item in document):
        names = [identity(item) for item in document]
        for index, (name, item) in enumerate(zip(names, document, strict=True)):
            known = name is not None and names.count(name) == 1 and "]" not in name
            yield from settings(item, f"{path}[{name if known else index}]")
    else:
        yield path, document


def without(document: Json, path: Path) -> Json:
    """The document without the value at a path; the given one stays as it is."""
    first, rest = path[0], path[1:]
    if isinstance(document, dict):
        kept = {key: value for key, value in document.items() if rest or key != first}
        return {**kept, first: without(document[first], rest)} if rest else kept
    items = list(document)
    if rest:
        items[int(first)] = without(items[int(first)], rest)
    else:
        del items[int(first)]
    return items
