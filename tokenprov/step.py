"""A step: one setting of a token, how to see it and how to make it so.

One definition serves plan, dry run, run, resume, verify and audit. The rules:

- `observe` reads and changes nothing. A probe that can cost a retry first looks at how many are
  left, and never spends the last two (`PROBE_RESERVE`).
- `apply` writes, and may be cut off between any two commands: after that, `observe` and `apply`
  with the same intent must come to the same end.
- Everything a step draws at random stands in its intent, which is durable before `apply` is called.
- Intents are durable before the first write of all, so one does not say that its step was begun. A
  step that needs to know it, because the token does not tell its own from somebody else's or only
  by a try, finds ABSENT `blind`: its intent is then made when its turn comes.
- With an intent ABSENT is said only of what was never read back as MATCH; what may have been, and
  is to be written again, is UNKNOWN.
- What cannot be read back is named in `Finding.unread`; it is never reported as read.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tokenprov.model import Json, SecretKind
from tokenprov.secret import RandomBytes, Secret
from tokenprov.token import Token

PROBE_RESERVE = 2  # tries that no probe may touch


class State(StrEnum):
    """What a step finds."""

    ABSENT = "absent"  # factory state, or written by nobody
    MATCH = "match"  # as the profile wants it, and ours
    SKIPPED = "skipped"  # left as it is, as the profile allows; the reason says why
    CONFLICT = "conflict"  # holds something that is not ours
    UNKNOWN = "unknown"  # cannot be told on this token without writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A document read from the token or made about it: kept as a blob by its SHA-256."""

    type: str  # "piv-attestation", "certificate"
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was read: a state, public facts, what could not be read, and the evidence."""

    state: State
    reason: str = ""  # for SKIPPED, CONFLICT and UNKNOWN: in words
    facts: Mapping[str, Json] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    blind: bool = False  # ABSENT; once begun it could not be told from what is somebody else's


def conflict(reason: str) -> Finding:
    """Something that is not ours."""
    return Finding(state=State.CONFLICT, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSecret:
    """A secret that a step will write, and who may open it."""

    kind: SecretKind
    value: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a step draws before its first write: secrets to seal, public values to journal."""

    secrets: Mapping[str, DrawnSecret] = field(default_factory=dict)
    public: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The journalled promise to write, as it comes back from the journal.

    `applied` is true once `apply` has returned in this process: the only evidence there is for
    what cannot be read back. `ahead`: it was made before the first write of the order, and not when
    its step's turn came.
    """

    step: str
    drawn: Mapping[str, DrawnSecret] = field(default_factory=dict)
    public: Mapping[str, Json] = field(default_factory=dict)
    applied: bool = False
    ahead: bool = False

    def secret(self, name: str) -> Secret:
        """The secret of that name."""
        return self.drawn[name].value


class Step(Protocol):
    """One setting of a token."""

    @property
    def id(self) -> str:
        """Names it in journal and manifest: "piv/9a/certificate"."""
        ...

    @property
    def title(self) -> str:
        """Names it on a screen: "certificate in 9a"."""
        ...

    def draw(self, random: RandomBytes) -> Drawn:
        """Draw what `apply` will write, before the intent is journalled.

        In another thread, while steps observe: it looks at no token, and may come to nothing.
        """
        ...

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Look. Raises a `TokenError` when the token cannot be read."""
        ...

    def apply(self, token: Token, intent: Intent) -> None:
        """Write. Raises a `TokenError` when the token refuses."""
        ...


class Operator(Protocol):
    """The person (or robot) at the station."""

    def touch(self, reader: str, label: str, reason: str) -> AbstractContextManager[None]:
        """While entered, the token in that reader waits to be touched."""
        ...

    def reinsert(
        self, reader: str, label: str, reason: str, seconds: float
    ) -> AbstractContextManager[None]:
        """While entered, that token is waited for: out of its reader and into any, in `seconds`."""
        ...
