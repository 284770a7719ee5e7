"""A rule that does not hold somewhere, as a report has it."""

from __future__ import annotations

from dataclasses import dataclass

from tokenprov.model import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What does not hold; `token`, `holder` and `batch` say what a waiver for it would name."""

    rule: str
    what: str
    remedy: str
    token: str = ""  # a serial
    holder: str = ""  # a commitment
    batch: str = ""
    index: int | None = None  # the entry that it is about
    waiver: str = ""  # the id of one that covers it

    def to_json(self) -> dict[str, Json]:
        """For programs; what is empty is left out."""
        document: dict[str, Json] = {"rule": self.rule, "what": self.what, "remedy": self.remedy}
        narrowed = {
            "token": self.token,
            "holder": self.holder,
            "batch": self.batch,
            "waiver": self.waiver,
        }
        document |= {name: value for name, value in narrowed.items() if value}
        return document if self.index is None else {**document, "entry": self.index}
