"""Texts of a profile that name the holder, the token or the day.

Grammar: `{holder.FIELD}` stands for a field, `{token.serial}` for the token's serial, `{date}` for
the day of issue (2026-03-02) and `{year}` for its year, `{{` and `}}` for a brace; nothing else in
braces. FIELD is id, name, email or upn, or `extra.COLUMN` for a further column of the roster, under
the name that the roster gives it (lower case, `_` for spaces and dashes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any

from tokenprov.errors import ProfileError
from tokenprov.model import Holder
from tokenprov.profile.faults import Fault, Faults, shown

BASE_FIELDS = ("id", "name", "email", "upn")
EXTRA = "extra."
SERIAL, DATE, YEAR = "token.serial", "date", "year"
OF_ISSUE = (SERIAL, DATE, YEAR)  # known when a token is there

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_EXTRA_COLUMN = re.compile(r"extra\.[^\s{}]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text with fields; `pieces` are each a literal text and the field after it, or "".

    `settle` puts in what belongs to the token and the day, `render` what belongs to the holder.
    """

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
        """The holder's fields that it uses: "name", "extra.department"."""
        return frozenset(field for _, field in self.pieces if field and field not in OF_ISSUE)

    def settle(self, *, serial: str | None, day: date) -> Template:
        """The same with the token's serial and the day put in; itself where it names neither.

        Raises ProfileError if it names the serial and there is none.
        """
        values = {SERIAL: serial, DATE: day.isoformat(), YEAR: f"{day:%Y}"}
        if not any(field in values for _, field in self.pieces):
            return self
        text = ""
        for literal, field in self.pieces:
            text += literal.replace("{", "{{").replace("}", "}}")
            if field in values:
                value = values[field]
                if not value:
                    raise ProfileError(
                        f"{self.text!r} needs the token's serial, which cannot be read on this one",
                        remedy="Take it out of the profile, or insert a token with a serial.",
                    )
                text += value
            elif field:
                text += f"{{holder.{field}}}"
        return Template.parse(text)

    def render(self, holder: Holder) -> str:
        """The text for one holder, once it is settled.

        Raises ProfileError if the holder lacks a field.
        """
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
    if name in OF_ISSUE:
        return name
    field = name.removeprefix("holder.")
    if field != name and (field in BASE_FIELDS or _EXTRA_COLUMN.match(field)):
        return field
    words = [*(f"holder.{base}" for base in BASE_FIELDS), *OF_ISSUE]
    known = ", ".join(f"{{{word}}}" for word in words)
    near = get_close_matches(field.strip().lower(), BASE_FIELDS, n=1)
    hint = f"Did you mean {{holder.{near[0]}}}? " if near else ""
    if not near and (closest := get_close_matches(name.strip().lower(), words, n=1)):
        hint = f"Did you mean {{{closest[0]}}}? "
    raise Faults(
        [
            Fault(
                message=f"there is no field {{{name}}}",
                remedy=f"{hint}There are {known}, and {{holder.extra.COLUMN}} for any other column "
                "of the roster.",
            )
        ]
    )
