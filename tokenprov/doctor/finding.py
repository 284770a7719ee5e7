"""One thing that was looked at: how it stands with it, and the command that mends it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum

from tokenprov.model import Json


class State(StrEnum):
    """How it stands with one thing."""

    GOOD = "good"
    DOUBTFUL = "doubtful"  # work goes on, and may end badly
    BAD = "bad"  # work cannot be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: what it is, how it stands, and the command that mends it."""

    about: str
    state: State
    text: str
    mend: str = ""

    def to_json(self) -> dict[str, Json]:
        """For a program."""
        return {
            "about": self.about,
            "state": str(self.state),
            "text": self.text,
            "mend": self.mend or None,
        }


def good(about: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(about=about, state=State.GOOD, text=text)


def bad(about: str, text: str, mend: str) -> Finding:
    """Work cannot be done until it is mended."""
    return Finding(about=about, state=State.BAD, text=text, mend=mend)


def doubtful(about: str, text: str, mend: str) -> Finding:
    """Better mended."""
    return Finding(about=about, state=State.DOUBTFUL, text=text, mend=mend)


def as_root(command: str) -> str:
    """The command as this user gives it, where it needs root."""
    return command if os.geteuid() == 0 else f"sudo {command}"
