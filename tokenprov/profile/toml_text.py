"""A resolved profile as TOML 1.0, to be read, copied and loaded again.

Python reads TOML and does not write it. A profile has tables, arrays of tables, arrays of plain
values, text, whole numbers, true and false; nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from tokenprov.model import Json

_BREAKS = str.maketrans({"\x7f": "\\u007f"})  # a control character to TOML, none to JSON


def toml_text(document: Mapping[str, Json]) -> str:
    """The document, keys before tables; loading the text gives the document again."""
    return "\n".join(_table(document, "")) + "\n"


def toml_value(value: Json) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{key} = {toml_value(inner)}" for key, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    # the escapes of JSON are escapes of TOML (TOML 1.0, "String")
    return json.dumps(value, ensure_ascii=False).translate(_BREAKS)


def _table(table: Mapping[str, Json], path: str) -> Iterator[str]:
    for key, value in table.items():
        if not _stands_alone(value):
            yield f"{key} = {toml_value(value)}"
    for key, value in table.items():
        if not _stands_alone(value):
            continue
        inner = f"{path}.{key}" if path else key
        for item in value if isinstance(value, list) else [value]:
            yield ""
            yield f"[[{inner}]]" if isinstance(value, list) else f"[{inner}]"
            yield from _table(item, inner)


def _stands_alone(value: Json) -> bool:
    """Whether a value gets a header of its own: a table with more than a line's worth in it."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    if not isinstance(value, dict):
        return False
    return any(isinstance(inner, (dict, list)) for inner in value.values()) or len(value) > 4
