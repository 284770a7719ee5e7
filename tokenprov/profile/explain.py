"""What pydantic found wrong, in the words of somebody who writes profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tokenprov.errors import Problem
from tokenprov.profile.faults import Faults, path_text, shown
from tokenprov.profile.inheritance import EXTENDS, WITHOUT, Node
from tokenprov.profile.language import Profile
from tokenprov.profile.section import Section

_QUOTED = re.compile(r"'([^']*)'")

# pydantic's error types, and what the value should have been
_TYPES = {
    "int_type": ("a whole number", "Write it without quotes, as in 8."),
    "bool_type": ("true or false", "Write true or false, without quotes."),
    "string_type": ("text", "Put it in quotes."),
    "tuple_type": ("an array", "Write [ … ] around it."),
    "model_type": ("a table", "Write { … } around its keys, or give it a [table] of its own."),
}


def explain(
    error: ValidationError, document: Node, file: str, root: type[Section] = Profile
) -> list[Problem]:
    """One problem for each thing that is wrong in a document, by file and line.

    Those in `file` come first; the others name theirs. `root` is what the document is.
    """
    problems = [
        problem for detail in error.errors() for problem in _problems(detail, document, file, root)
    ]
    return sorted(problems, key=lambda problem: (problem.file, problem.line))


def explain_faults(faults: Faults, document: Node, file: str) -> list[Problem]:
    """The same for rules that are not pydantic's."""
    return [
        _problem(fault.at, document, file, fault.message, fault.remedy) for fault in faults.faults
    ]


def _problems(
    detail: ErrorDetails, document: Node, file: str, root: type[Section]
) -> Iterator[Problem]:
    location = detail["loc"]
    path = tuple(part for part in location if part not in _TAGS)
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Faults):
        for fault in cause.faults:
            yield _problem((*path, *fault.at), document, file, fault.message, fault.remedy)
        return
    message, remedy = _words(detail, location, path, root)
    yield _problem(path, document, file, message, remedy)


def _problem(
    path: Sequence[str | int], document: Node, file: str, message: str, remedy: str
) -> Problem:
    place = document.place_of(path)
    return Problem(
        line=place.line,
        field=path_text(path),
        message=message,
        remedy=remedy,
        file=place.file if place.file != file else "",
    )


def _words(
    detail: ErrorDetails,
    location: Sequence[str | int],
    path: Sequence[str | int],
    root: type[Section],
) -> tuple[str, str]:
    kind, value = detail["type"], detail["input"]
    context: dict[str, Any] = detail.get("ctx", {})
    key = path[-1] if path else ""
    if kind == "extra_forbidden":
        extends = {EXTENDS, WITHOUT} if root is Profile and len(path) == 1 else set()
        keys = sorted(_keys(location[:-1], root) | extends)
        near = _near(str(key), keys)
        return f"there is no key {shown(key)} here", f"{near}The keys here are {', '.join(keys)}."
    if kind == "missing":
        return f"the key {key!r} is missing", f"Add {key} = … to this table."
    if kind in ("enum", "literal_error"):
        return _choice(value, _QUOTED.findall(str(context.get("expected", ""))))
    if kind == "union_tag_invalid":
        return _choice(context.get("tag"), _QUOTED.findall(str(context.get("expected_tags", ""))))
    if kind == "union_tag_not_found":
        tags = " or ".join(f'"{tag}"' for tag in sorted(_TAGS))
        return "the key 'kind' is missing", f"Add kind = {tags} to this table."
    if kind in _TYPES:
        wanted, remedy = _TYPES[kind]
        return f"{shown(value)} is not {wanted}", remedy
    return f"{shown(value)}: {detail['msg']}", "Correct the value."


def _choice(value: Any, choices: Sequence[str]) -> tuple[str, str]:
    listed = ", ".join(f'"{choice}"' for choice in choices)
    near = _near(str(value), choices)
    return f"{shown(value)} is not a value of this key", f"{near}The values are {listed}."


def _near(word: str, words: Sequence[str]) -> str:
    near = get_close_matches(word.lower().replace("_", "-"), words, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}? " if near else ""


def _keys(location: Sequence[str | int], root: type[Section]) -> set[str]:
    """The keys of the table at a location, which names the kind of a table that has kinds."""
    sections: list[type[Section]] = [root]
    for part in location:
        if part in _TAGS:
            sections = [section for section in sections if part in _kinds(section)]
        elif isinstance(part, str):
            sections = [
                found
                for section in sections
                for field in section.model_fields.values()
                if field.alias == part
                for found in sections_in(field.annotation)
            ]
    return {
        field.alias or name for section in sections for name, field in section.model_fields.items()
    }


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    """The tables that a key's type names, whatever stands around them."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from sections_in(argument)


def _kinds(section: type[Section]) -> tuple[str, ...]:
    kind = section.model_fields.get("kind")
    if kind is None or get_origin(kind.annotation) is not Literal:
        return ()
    return get_args(kind.annotation)


def _all_kinds(section: type[Section]) -> Iterator[str]:
    yield from _kinds(section)
    for field in section.model_fields.values():
        for inner in sections_in(field.annotation):
            yield from _all_kinds(inner)


_TAGS = frozenset(_all_kinds(Profile))  # pydantic puts the kind into the location of an error
