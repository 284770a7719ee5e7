"""The people of a station: who may request, approve, operate or witness, and by which key.

Rules:
- The manifest is where they stand: an entry `person-changed` says what a person may do from then
  on, by which key; without a role, nothing any more. So whoever has the manifest can judge what
  they signed, and nobody is added without its being seen.
- A person's name is the name of their key: neither space nor plus sign is in it.
- One key is one person's: two names with one key could agree with themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tokenprov.record.verifier_key import VerifierKey


class Role(StrEnum):
    """What a person may do; somebody may have several, but not for one and the same act."""

    REQUESTER = "requester"
    APPROVER = "approver"
    OPERATOR = "operator"
    WITNESS = "witness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody as the manifest has them."""

    key: VerifierKey
    roles: frozenset[Role]

    @property
    def name(self) -> str:
        """The name of their key."""
        return self.key.name

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> Person:
        """Of an entry `person-changed`. Raises ManifestError (rule `verifier-key`)."""
        return cls(key=VerifierKey.parse(entry["key"]), roles=frozenset(map(Role, entry["roles"])))

    def to_word(self) -> str:
        """On one line, as the history of a log keeps it."""
        return f"{','.join(sorted(self.roles))} {self.key}"

    @classmethod
    def from_word(cls, word: str) -> Person | None:
        """The inverse; None for no word."""
        if not word:
            return None
        roles, _, key = word.partition(" ")
        return cls(
            key=VerifierKey.parse(key), roles=frozenset(map(Role, filter(None, roles.split(","))))
        )


def people_in(entries: Iterable[Mapping[str, Any]]) -> dict[str, Person]:
    """By name, as these entries `person-changed` leave them; who was removed has no role."""
    return {person.name: person for person in map(Person.of_entry, entries)}
