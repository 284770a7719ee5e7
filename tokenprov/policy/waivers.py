"""Waivers: rules that are broken on purpose, for a reason, by agreement, until a last day.

Rules:
- A waiver is an entry of the manifest; nothing takes it back, and nothing has to: after its last
  day (in UTC) it counts no more.
- It is for everything, or for one token, one holder, one batch.
- Somebody else than who carries it out has to agree, whatever else the policy asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from tokenprov.home import Home
from tokenprov.record.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One exception; empty members do not narrow it."""

    id: str
    rule: str
    reason: str
    approvers: tuple[str, ...]
    granted: date
    until: date
    index: int  # of its entry
    token: str = ""  # a serial
    holder: str = ""  # a commitment
    batch: str = ""

    @classmethod
    def of_entry(cls, index: int, entry: Mapping[str, Any]) -> Waiver:
        """What an entry `waiver` grants."""
        return cls(
            id=entry["waiver"],
            rule=entry["policy"],
            reason=entry["reason"],
            approvers=tuple(one["name"] for one in entry["approvers"]),
            granted=date.fromisoformat(entry["time"][:10]),
            until=date.fromisoformat(entry["until"]),
            index=index,
            token=entry.get("token", {}).get("serial") or "",
            holder=entry.get("holder", {}).get("commitment", ""),
            batch=entry.get("batch", ""),
        )

    def holds(self, today: date) -> bool:
        """Whether its last day is not past."""
        return today <= self.until

    def covers(self, rule: str, *, token: str = "", holder: str = "", batch: str = "") -> bool:
        """Whether it is for that rule and whatever is named."""
        return self.rule == rule and all(
            mine in ("", theirs)
            for mine, theirs in ((self.token, token), (self.holder, holder), (self.batch, batch))
        )

    @property
    def scope(self) -> str:
        """What it is for, in words."""
        narrowed = {"token": self.token, "holder": self.holder[:16], "batch": self.batch}
        return ", ".join(f"{name} {value}" for name, value in narrowed.items() if value) or "all"


def waivers_of(home: Home) -> Iterator[Waiver]:
    """All that were ever granted, the oldest first."""
    for index in home.manifest.found_by(f"kind {Kind.WAIVER}"):
        yield Waiver.of_entry(index, home.manifest.entry(index))
