"""What every rule of a policy has: how it is held to, what it says, and where it is from."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from tokenprov.profile.section import Section


class Level(StrEnum):
    """What a broken rule does to an act; a report names it either way."""

    REFUSE = "refuse"
    REPORT = "report"


class Rule(Section):
    """A table of a policy: the rule holds where its table stands."""

    says: ClassVar[str]  # one sentence
    source: ClassVar[str]  # standard and section
    level: Level = Level.REFUSE
