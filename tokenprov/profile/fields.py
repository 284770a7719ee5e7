"""Texts of a profile that name the holder.

Grammar: `{holder.FIELD}` stands for a field, `{{` and `}}` for a brace; nothing else in braces.
FIELD is id, name, email or upn, or `extra.COLUMN` for a further column of the roster, under the
name that the roster gives it (lower case, `_` for spaces and dashes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tokenprov.errors import ProfileError
from tokenprov.model import Holder
from tokenprov.profile.faults import Fault, Faults, shown

BASE_FIELDS = ("id", "name", "email", "upn")
EXTRA = "extra."

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_EXTRA_COLUMN = re.compile(r"extra\.[^\s{}]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text over the holder; `pieces` are each a literal text and the field after it, or ""."""

    text: str
    pieces: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template. Raises Faults for a brace left open or an unknown field."""
        pieces: list[tuple[str, str]] = []
        literal, start = "", 0
        for match in _PIECE.finditer(text):
            literal += text[start : match.start()]
            start = match.end()
            if match[0] in ("{{", "}}"):
                literal += match[0][0]
            elif match[1] is None:
                raise Faults(
                    [
                        Fault(
                            message=f"{text!r} has a {match[0]} that does not belong to a pair",
                            remedy=f"Write {match[0] * 2} for the character itself.",
                        )
                    ]
                )
            else:
                pieces.append((literal, _field(match[1])))
                literal = ""
        literal += text[start:]
        if literal or not pieces:
            pieces.append((literal, ""))
        return cls(text=text, pieces=tuple(pieces))

    @classmethod
    def validate(cls, value: Any) -> Template:
        """What pydantic calls: a text from a file, or a template from Python."""
        if isinstance(value, cls):
            return value
        return cls.parse(plain_text(value))

    @property
    def fields(self) -> frozenset[str]:
        """The fields it uses: "name", "extra.department"."""
        return frozenset(field for _, field in self.pieces if field)

    def render(self, holder: Holder) -> str:
        """The text for one holder. Raises ProfileError if the holder lacks a field."""
        parts: list[str] = []
        for literal, field in self.pieces:
            parts.append(literal)
            if field:
                value = field_of(holder, field)
                if not value:
                    raise ProfileError(
                        f"{self.text!r} needs {field!r}, which holder {holder.id!r} does not have",
                        remedy="Fill it in on the roster, or take it out of the profile.",
                    )
                parts.append(value)
        return "".join(parts)

    def __str__(self) -> str:
        return self.text


def plain_text(value: Any) -> str:
    """A text that can be shown and put into a certificate. Raises Faults for any other."""
    if not isinstance(value, str):
        raise Faults([Fault(message=f"{shown(value)} is not text", remedy="Put it in quotes.")])
    if not value.strip():
        raise Faults([Fault(message="the text is empty", remedy="Write one, or delete the key.")])
    if not value.isprintable():
        raise Faults(
            [
                Fault(
                    message=f"{shown(value)} holds a line break or a character that is not visible",
                    remedy="Write one line of visible characters.",
                )
            ]
        )
    return value


def field_of(holder: Holder, field: str) -> str:
    """The value of a field for one holder, "" where there is none."""
    if field.startswith(EXTRA):
        return holder.extra.get(field.removeprefix(EXTRA), "")
    return {"id": holder.id, "name": holder.name, "email": holder.email, "upn": holder.upn}[field]


def _field(name: str) -> str:
    field = name.removeprefix("holder.")
    if field != name and (field in BASE_FIELDS or _EXTRA_COLUMN.match(field)):
        return field
    known = ", ".join(f"{{holder.{base}}}" for base in BASE_FIELDS)
    near = get_close_matches(field.strip().lower(), BASE_FIELDS, n=1)
    hint = f"Did you mean {{holder.{near[0]}}}? " if near else ""
    raise Faults(
        [
            Fault(
                message=f"there is no field {{{name}}}",
                remedy=f"{hint}There are {known}, and {{holder.extra.COLUMN}} for any other column "
                "of the roster.",
            )
        ]
    )
