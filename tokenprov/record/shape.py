"""Small checks that are put together to say what a JSON document must look like.

A check takes a value and the path of it, and raises `ShapeError` with that path. Each also says
the same as a JSON Schema (2020-12), for other programs: what one says, the other does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

Where = str | None  # None: the path is not kept, which is faster


class ShapeError(Exception):
    """Where the document is not what it should be, and how; turned into a TokenprovError above."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check and its JSON Schema."""

    run: Callable[[Any, Where], None]
    schema: Mapping[str, Any]

    def __call__(self, value: Any, where: str) -> None:
        """Check a value. Raises ShapeError."""
        try:
            self.run(value, None)
        except ShapeError:
            self.run(value, where)  # again, for the path


def _text(value: Any, where: Where) -> None:
    if type(value) is not str or not value:
        raise ShapeError(f"{where} is not a text")


def _text_or_empty(value: Any, where: Where) -> None:
    if type(value) is not str:
        raise ShapeError(f"{where} is not a text")


def _flag(value: Any, where: Where) -> None:
    if type(value) is not bool:
        raise ShapeError(f"{where} is not true or false")


def _document(value: Any, where: Where) -> None:
    if type(value) is not dict:
        raise ShapeError(f"{where} is not an object")


def _moment(value: Any, where: Where) -> None:
    _text(value, where)
    try:
        if not _MOMENT.fullmatch(value):
            raise ValueError
        datetime.fromisoformat(value)
    except ValueError as exc:
        raise ShapeError(f"{where} is not a time like 2026-02-03T04:05:06Z") from exc


def _day(value: Any, where: Where) -> None:
    _text(value, where)
    try:
        if not _DAY.fullmatch(value):
            raise ValueError
        date.fromisoformat(value)
    except ValueError as exc:
        raise ShapeError(f"{where} is not a day like 2026-02-03") from exc


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

text = Check(_text, {"type": "string", "minLength": 1})
text_or_empty = Check(_text_or_empty, {"type": "string"})
flag = Check(_flag, {"type": "boolean"})
document = Check(_document, {"type": "object"})
# RFC 3339 in UTC, to the second
moment = Check(
    _moment, {"type": "string", "pattern": "^[0-9-]{10}T[0-9:]{8}Z$", "format": "date-time"}
)
day = Check(_day, {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "format": "date"})


def number(lowest: int) -> Check:
    """An integer from `lowest` on."""

    def check(value: Any, where: Where) -> None:
        if type(value) is not int or value < lowest:
            raise ShapeError(f"{where} is not a whole number from {lowest}")

    return Check(check, {"type": "integer", "minimum": lowest})


def pattern(expression: str, what: str) -> Check:
    """A text of that form."""
    compiled = re.compile(expression, re.ASCII)

    def check(value: Any, where: Where) -> None:
        if type(value) is not str or not compiled.fullmatch(value):
            raise ShapeError(f"{where} is not {what}")

    return Check(check, {"type": "string", "pattern": f"^{expression}$"})


def one_of(*values: object) -> Check:
    """One of these words or numbers."""
    known = {kind: frozenset(v for v in values if type(v) is kind) for kind in map(type, values)}

    def check(value: Any, where: Where) -> None:
        if value not in known.get(type(value), ()):
            raise ShapeError(f"{where} is not {' or '.join(map(repr, values))}")

    return Check(check, {"enum": list(values)} if len(values) > 1 else {"const": values[0]})


def nullable(inner: Check) -> Check:
    """Null, or what the inner check says."""

    def check(value: Any, where: Where) -> None:
        if value is not None:
            inner.run(value, where)

    return Check(check, {"anyOf": [{"type": "null"}, inner.schema]})


def list_of(inner: Check) -> Check:
    """A list, every item by the inner check."""
    run = inner.run

    def check(value: Any, where: Where) -> None:
        if type(value) is not list:
            raise ShapeError(f"{where} is not a list")
        if where is None:
            for item in value:
                run(item, None)
            return
        for index, item in enumerate(value):
            run(item, f"{where}[{index}]")

    return Check(check, {"type": "array", "items": inner.schema})


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with these members and no others."""
    checks = {**required, **(optional or {})}
    runs = {name: check.run for name, check in checks.items()}
    needed = required.keys()
    known = checks.keys()

    def check(value: Any, where: Where) -> None:
        if type(value) is not dict:
            raise ShapeError(f"{where or 'the document'} is not an object")
        names = value.keys()
        if where is None:
            try:
                for name, item in value.items():
                    runs[name](item, None)
            except KeyError as exc:
                raise ShapeError("a member is not known") from exc
            if len(names) < len(known) and not needed <= names:
                raise ShapeError("a member is missing")
            return
        if not needed <= names:
            raise ShapeError(f"{_under(where, min(needed - names))} is missing")
        if not names <= known:
            raise ShapeError(f"{_under(where, min(names - known))} is not known")
        for name, item in value.items():
            runs[name](item, _under(where, name))

    return Check(
        check,
        {
            "type": "object",
            "properties": {name: one.schema for name, one in checks.items()},
            "required": sorted(needed),
            "additionalProperties": False,
        },
    )


def _under(where: Where, name: str) -> str:
    return f"{where}.{name}" if where else name
