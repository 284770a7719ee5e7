"""A roster as JSON (RFC 8259): an array of objects, one a holder.

Rules: values are strings; `groups` may be an array of strings; null is an empty cell. A number is
refused, since it has lost the zeros that a personnel number begins with. A name that stands twice
in one object is refused (RFC 8259, 4: receivers differ on which one counts).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tokenprov.roster.columns import Column, check_further, column_of
from tokenprov.roster.problems import Problems, shown
from tokenprov.roster.rows import Row

_SPACE = re.compile(r"[ \t\r\n]*")
_STEP = re.compile(r"[ \t\r\n]*([,\]])")

Pairs = list[tuple[str, Any]]


class _Object(Pairs):
    """The members of one object in their order, duplicates included."""


class _Number(str):
    """A number as it was written: its digits matter, its value does not."""


def json_rows(text: str, problems: Problems) -> Iterator[Row]:
    """The objects of the array. Raises RosterError where the text is not JSON."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number, parse_constant=_Number
    )
    position = _after_space(text, 0)
    if text[position] != "[":
        raise problems.stop(
            1,
            "",
            "the JSON is one object, and a roster is an array of them",
            'Put the holders between [ and ]: [{"id": …, "name": …, "email": …}, …]',
        )
    position = _after_space(text, position + 1)
    line, counted = 1, 0
    seen: dict[str, Column] = {}
    while not text.startswith("]", position):
        line += text.count("\n", counted, position)
        counted = position
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as exc:
            raise problems.stop(
                exc.lineno, "", f"not JSON: {exc.msg} (column {exc.colno})", "Mend the JSON there."
            ) from exc
        except RecursionError as exc:
            raise problems.stop(
                line, "", "the JSON is nested too deeply", "Write one flat object for each holder."
            ) from exc
        row = _row(value, line, seen, problems)
        if row is not None:
            yield row
        step = _STEP.match(text, end)
        if step is None:
            raise problems.stop(
                line + text.count("\n", counted, end),
                "",
                "after this object neither a comma nor the closing ] follows",
                "Put a comma between two objects and ] after the last.",
            )
        if step[1] == "]":
            position = step.end() - 1
            break
        position = _after_space(text, step.end())
    rest = _after_space(text, position + 1)
    if rest < len(text):
        raise problems.stop(
            text.count("\n", 0, rest) + 1, "", "text follows the closing ]", "Delete it."
        )


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _row(value: Any, line: int, seen: dict[str, Column], problems: Problems) -> Row | None:
    if not isinstance(value, _Object):
        problems.add(
            line, "", "the array holds something that is not an object", "Write {…} for a holder."
        )
        return None
    row = Row(line=line, plain=False, known={}, extra={})
    names: dict[Column, str] = {}
    for position, (name, member) in enumerate(value, 1):
        column = seen.get(name)
        if column is None:
            column = seen[name] = column_of(name)
            columns = [column_of(other) for other, _ in value]
            check_further(name, position, columns, line, problems)
        if column in names:
            problems.add(
                line,
                column.key,
                f"{shown(names[column])} and {shown(name)} are the same thing in one object",
                "Delete one of them.",
            )
        names[column] = name
        cell = _cell(column, member, line, problems).strip()
        if cell:
            (row.known if column.known else row.extra)[column.key] = cell
    return row


def _cell(column: Column, member: Any, line: int, problems: Problems) -> str:
    if isinstance(member, str) and not isinstance(member, _Number):
        return member
    if member is None:
        return ""
    if column.key == "groups" and isinstance(member, list) and not isinstance(member, _Object):
        if all(type(group) is str and not set(group) & set(";|") for group in member):
            return "|".join(member)
        remedy = "Write an array of strings, none with ; or | in it."
    elif isinstance(member, _Number):
        remedy = f'Put it in quotes, with the zeros that it began with: "{member}".'
    else:
        remedy = "Write a string."
    problems.add(line, column.key, "the value is not a string", remedy)
    return str(member) if isinstance(member, _Number) else ""
