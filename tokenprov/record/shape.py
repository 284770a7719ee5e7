"""Small checks that are put together to say what a JSON document must look like.

A check takes a value and the path of it, and raises `ShapeError` with that path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Check = Callable[[Any, str], None]


class ShapeError(Exception):
    """Where the document is not what it should be, and how; turned into a TokenprovError above."""


def text(value: Any, where: str) -> None:
    """A text that is not empty."""
    if type(value) is not str or not value:
        raise ShapeError(f"{where} is not a text")


def text_or_empty(value: Any, where: str) -> None:
    """A text."""
    if type(value) is not str:
        raise ShapeError(f"{where} is not a text")


def flag(value: Any, where: str) -> None:
    """True or false."""
    if type(value) is not bool:
        raise ShapeError(f"{where} is not true or false")


def document(value: Any, where: str) -> None:
    """An object with any members."""
    if type(value) is not dict:
        raise ShapeError(f"{where} is not an object")


def moment(value: Any, where: str) -> None:
    """RFC 3339 in UTC, to the second: 2026-02-03T04:05:06Z."""
    text(value, where)
    try:
        if not _MOMENT.fullmatch(value):
            raise ValueError
        datetime.fromisoformat(value)
    except ValueError as exc:
        raise ShapeError(f"{where} is not a time like 2026-02-03T04:05:06Z") from exc


def number(lowest: int) -> Check:
    """An integer from `lowest` on."""

    def check(value: Any, where: str) -> None:
        if type(value) is not int or value < lowest:
            raise ShapeError(f"{where} is not a whole number from {lowest}")

    return check


def pattern(expression: str, what: str) -> Check:
    """A text of that form."""
    compiled = re.compile(expression, re.ASCII)

    def check(value: Any, where: str) -> None:
        if type(value) is not str or not compiled.fullmatch(value):
            raise ShapeError(f"{where} is not {what}")

    return check


def one_of(*values: object) -> Check:
    """One of these words or numbers."""

    def check(value: Any, where: str) -> None:
        if not any(type(value) is type(v) and value == v for v in values):
            raise ShapeError(f"{where} is not {' or '.join(map(repr, values))}")

    return check


def nullable(inner: Check) -> Check:
    """Null, or what the inner check says."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            inner(value, where)

    return check


def list_of(inner: Check) -> Check:
    """A list, every item by the inner check."""

    def check(value: Any, where: str) -> None:
        if type(value) is not list:
            raise ShapeError(f"{where} is not a list")
        for index, item in enumerate(value):
            inner(item, f"{where}[{index}]")

    return check


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with these members and no others."""
    checks = {**required, **(optional or {})}
    needed = required.keys()
    known = checks.keys()

    def check(value: Any, where: str) -> None:
        if type(value) is not dict:
            raise ShapeError(f"{where or 'the document'} is not an object")
        names = value.keys()
        if not needed <= names:
            raise ShapeError(f"{_under(where, min(needed - names))} is missing")
        if not names <= known:
            raise ShapeError(f"{_under(where, min(names - known))} is not known")
        for name, item in value.items():
            checks[name](item, f"{where}.{name}" if where else name)

    return check


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def _under(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
