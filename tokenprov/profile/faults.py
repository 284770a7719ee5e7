"""What a rule of the profile language finds wrong, on its way through pydantic to the person.

pydantic keeps a ValueError as it is (`ctx["error"]`), so that message, remedy and key survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One broken rule; `at` is the key inside the table that the rule is about."""

    message: str
    remedy: str
    at: tuple[str | int, ...] = ()


class Faults(ValueError):
    """All that one table, or one value, breaks."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


def path_text(path: Sequence[str | int]) -> str:
    """A key's path as people write it: `piv.keys[0].slot`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any) -> str:
    """A value for a message: as Python writes it, clipped."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
