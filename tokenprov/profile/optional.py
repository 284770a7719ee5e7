"""Settings that a profile makes only where the token can: `if-supported` at its top.

Rules:
- Each is named by its path (`paths`), and must be set by the profile: a path that names nothing is
  a slip of the pen.
- Each can be left out: what then remains is a profile.
- It is left out where the token's limits stand at it or within it, and nowhere else (fitting.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydantic import ValidationError

from tokenprov.model import Json
from tokenprov.profile.faults import Fault, Faults, shown
from tokenprov.profile.paths import find, parse_path, without

KEY = "if-supported"


def check_optional(
    paths: Sequence[str], document: Json, validate: Callable[[Json], object]
) -> Iterator[Fault]:
    """What is wrong with the paths, at the key `if-supported`; `document` is the profile's."""
    bare = {key: value for key, value in document.items() if key != KEY}
    for index, text in enumerate(paths):
        found = find(bare, text)
        if found is None:
            what = "is not a path" if parse_path(text) is None else "is not set by this profile"
            yield Fault(
                at=(KEY, index),
                message=f"{shown(text)} {what}",
                remedy='Write a path as in "piv.keys[9a].touch-policy"; tokenprov profile show'
                " prints what is set.",
            )
            continue
        try:
            validate(without(bare, found))
        except ValidationError as exc:
            yield Fault(
                at=(KEY, index),
                message=f"{shown(text)} cannot be left out: {_because(exc)}",
                remedy="Take it out of the list, or name the table around it.",
            )


def _because(error: ValidationError) -> str:
    """The first thing that is wrong without it."""
    (detail, *_) = error.errors()
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Faults):
        return cause.faults[0].message
    return "it is needed" if detail["type"] == "missing" else detail["msg"]
