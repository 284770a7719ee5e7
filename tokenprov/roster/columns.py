"""The columns of a roster, by the names that directories and spreadsheets give them.

Rules: names are compared without case, spaces, dashes, dots and underscores. A column nobody
knows is kept under its own name, unless that looks like a known one misspelt: a misspelt
`last_day` would silently give a leaver a token without an end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from tokenprov.roster.problems import Problems, shown
from tokenprov.roster.text import FORBIDDEN

REQUIRED = ("id", "name", "email")
OPTIONAL = ("upn", "groups", "last_day")

_ALIASES = {
    "id": "id employeeid employeenumber personnelnumber personid staffid holderid userid uid "
    "samaccountname personalnummer",
    "name": "name displayname fullname commonname cn",
    "email": "email mail emailaddress mailaddress",
    "upn": "upn userprincipalname principalname",
    "groups": "groups group memberof",
    "last_day": "lastday enddate leavingdate contractend validuntil lastworkingday",
}
KNOWN = {alias: column for column, aliases in _ALIASES.items() for alias in aliases.split()}

# A secret in a roster would reach the ledger and whoever reads it: tokenprov draws its own.
_SECRET = frozenset(("pin", "puk", "initialpin", "password", "passwort", "managementkey", "seed"))

_SEPARATORS = re.compile(r"[\s_.\-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Where a cell goes: a known column, or one of the further ones."""

    key: str
    known: bool


def plain(name: str) -> str:
    """A column's name as it is compared."""
    return _SEPARATORS.sub("", name.casefold())


def recognised(names: Sequence[str]) -> int:
    """How many of the names are known: by it a delimiter is told from another."""
    return len({KNOWN[plain(name)] for name in names if plain(name) in KNOWN})


def column_of(name: str) -> Column:
    """The column that a name stands for; a further one is in lower case, joined by `_`."""
    known = KNOWN.get(plain(name))
    if known:
        return Column(key=known, known=True)
    visible = FORBIDDEN.sub("", name).strip().casefold()
    return Column(key=_SEPARATORS.sub("_", visible).strip("_"), known=False)


def map_header(names: Sequence[str], line: int, problems: Problems) -> list[Column]:
    """The columns of a header line. Raises RosterError if rows cannot be read by it."""
    columns = [column_of(name) for name in names]
    before = problems.total
    first: dict[Column, str] = {}
    for name, column in zip(names, columns, strict=True):
        if column.key and column in first:
            problems.add(
                line,
                column.key,
                f"the columns {shown(first[column])} and {shown(name)} are the same one",
                "Delete or rename one of them.",
            )
        first.setdefault(column, name)
    _missing(names, {column.key for column in columns if column.known}, line, problems)
    for position, name in enumerate(names, 1):
        check_further(name, position, columns, line, problems)
    if problems.total > before:
        raise problems.error()
    return columns


def check_further(
    name: str, position: int, columns: Sequence[Column], line: int, problems: Problems
) -> None:
    """Refuse a further column without a name that can be read, a secret, or a misspelt one."""
    column = columns[position - 1]
    if column.known:
        return
    if not column.key or FORBIDDEN.search(name):
        what = f"a name with an invisible character: {shown(name)}" if name.strip() else "no name"
        problems.add(
            line,
            column.key,
            f"column {position} has {what}",
            "Write its name anew, or delete the column.",
        )
        return
    if plain(name) in _SECRET:
        problems.add(
            line,
            column.key,
            f"the column {shown(name)} looks like a secret, and a roster holds none",
            "Delete it: PINs, PUKs and keys are drawn at the station and sealed.",
        )
        return
    present = {other.key for other in columns if other.known}
    absent = [alias for alias, known in KNOWN.items() if known in OPTIONAL and known not in present]
    for alias in get_close_matches(plain(name), absent, n=1, cutoff=0.85):
        problems.add(
            line,
            column.key,
            f"the column {shown(name)} is not known and looks like {KNOWN[alias]!r} misspelt",
            f"Rename it to {KNOWN[alias]}, or to something less alike if it is another thing.",
        )


def _missing(names: Sequence[str], present: set[str], line: int, problems: Problems) -> None:
    spelt = {plain(name): name for name in names if plain(name) not in KNOWN}
    for column in REQUIRED:
        if column in present:
            continue
        near = [
            spelt[match]
            for alias in _ALIASES[column].split()
            for match in get_close_matches(alias, spelt, n=1, cutoff=0.7)
        ]
        found = ", ".join(shown(name) for name in names)
        problems.add(
            line,
            column,
            f"the column {column!r} is missing; found: {found}",
            f"Rename {shown(near[0])} to {column}."
            if near
            else f"Add a column named {column}; the first line must name the columns.",
        )
