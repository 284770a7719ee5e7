"""What texts of a profile name beside the holder: the token's serial and the day of issue.

They are put in when the token is there, before its steps are made; the holder's fields stay.
"""

from __future__ import annotations

from datetime import date
from typing import Any, TypeVar

from tokenprov.profile.fields import Template
from tokenprov.profile.section import Section

_S = TypeVar("_S", bound=Section)

LONGEST_SERIAL = str(2**32 - 1)  # a YubiKey's has four bytes
ANY_DAY = date(2000, 1, 1)  # all are of one length


def settled(section: _S, *, serial: str | None, day: date) -> _S:
    """The same with serial and day put into every text.

    Raises `ProfileError` where a text names the serial and the token has none.
    """
    changes = {}
    for name in type(section).model_fields:
        before = getattr(section, name)
        after = _settled(before, serial, day)
        if after is not before:
            changes[name] = after
    return section.model_copy(update=changes) if changes else section


def _settled(value: Any, serial: str | None, day: date) -> Any:
    if isinstance(value, Template):
        return value.settle(serial=serial, day=day)
    if isinstance(value, Section):
        return settled(value, serial=serial, day=day)
    if isinstance(value, tuple):
        after = tuple(_settled(item, serial, day) for item in value)
        return after if any(a is not b for a, b in zip(after, value, strict=True)) else value
    return value
