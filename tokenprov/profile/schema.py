"""The profile language as a JSON Schema, for editors that complete and check TOML.

Made from the same classes that load profiles (JSON Schema 2020-12). A schema knows no rule among
keys; `tokenprov profile check` does.
"""

from __future__ import annotations

from typing import Any

from tokenprov.model import Json
from tokenprov.profile.inheritance import EXTENDS, OWN, WITHOUT
from tokenprov.profile.language import Profile

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_INHERITANCE = {
    EXTENDS: {"type": "string", "description": "the profile that this one is laid over"},
    WITHOUT: {
        "type": "array",
        "items": {"type": "string"},
        "description": "what of the other profile is left out first",
    },
}


def schema() -> dict[str, Json]:
    """The schema of a profile as it stands in a file.

    A profile that extends another may leave out, in every table, what the other says.
    """
    document = _plain(Profile.model_json_schema(by_alias=True, mode="validation"))
    tables = document["$defs"]
    parts = {**document["properties"], **_INHERITANCE}
    return {
        "$schema": DIALECT,
        "title": "tokenprov profile",
        "description": "What a security key must look like.",
        "type": "object",
        "required": [OWN[0]],
        "properties": {key: {} for key in parts},
        "additionalProperties": False,
        "if": {"required": [EXTENDS]},
        "then": {"properties": _pointed(parts, "partial")},
        "else": {"properties": _pointed(parts, "whole")},
        "$defs": {
            "whole": _pointed(tables, "whole"),
            "partial": _pointed(_partial(tables), "partial"),
        },
    }


def _plain(part: Any) -> Any:
    """Without what TOML has no word for: null, and titles that are the key again."""
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    choices = [choice for choice in part.get("anyOf", ()) if choice != {"type": "null"}]
    if "anyOf" in part and len(choices) == 1:
        part = {**part, **choices[0]}
        del part["anyOf"]
    return {
        key: {name: _plain(inner) for name, inner in value.items()}
        if key in _NAMES
        else _plain(value)
        for key, value in part.items()
        if key != "title" and (key, value) != ("default", None)
    }


_NAMES = ("properties", "$defs")  # keys of a schema whose keys are not a schema's


def _partial(part: Any) -> Any:
    """The same with nothing needed: then a table may fit more than one of its kinds."""
    if isinstance(part, list):
        return [_partial(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        "anyOf" if key == "oneOf" else key: _partial(value)
        for key, value in part.items()
        if key != "required" or not isinstance(value, list)
    }


def _pointed(part: Any, folder: str) -> Any:
    """The same with its references led into a folder of `$defs`."""
    if isinstance(part, dict):
        return {
            key: f"#/$defs/{folder}/{value.removeprefix('#/$defs/')}"
            if key == "$ref" and isinstance(value, str)
            else _pointed(value, folder)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [_pointed(item, folder) for item in part]
    return part
