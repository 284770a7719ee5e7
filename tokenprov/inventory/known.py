"""How an inventory says what a token cannot tell."""

from __future__ import annotations

from tokenprov.model import Json


def known(value: Json) -> Json:
    """The value, or "unknown" where the firmware cannot tell."""
    return "unknown" if value is None else value
