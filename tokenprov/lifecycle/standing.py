"""Whether a token is accepted: suspended, resumed, revoked.

Rules:
- The profile that the token was issued by says what becomes of what relies on it (its matrix);
  for a suspension that is the row of a token that comes back.
- A binding that ends takes with it what was begun on the token and is not finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenprov.errors import StationError
from tokenprov.home import Home
from tokenprov.lifecycle import work
from tokenprov.lifecycle.credentials import credentials_of
from tokenprov.lifecycle.ending import Part, Verdict, look, settle
from tokenprov.lifecycle.subject import Issued, require
from tokenprov.lifecycle.work import Order
from tokenprov.model import Cause, Json
from tokenprov.ordering import profile_of
from tokenprov.profile import Profile
from tokenprov.profile.lifecycle import Fate, LifecycleSection
from tokenprov.record.entry import Kind
from tokenprov.record.history import State
from tokenprov.record.works import WorkKind

_OUTLIVING = (WorkKind.REPLACE, WorkKind.RETURN, WorkKind.RETIRE)  # a token's binding
COMING_BACK = Cause.FORGOTTEN  # the row of the matrix for a token that is suspended


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One part on how things stand now."""

    part: Part
    verdict: Verdict
    facts: dict[str, Json]

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {
            "step": self.part.credential.id,
            "title": self.part.title,
            "verdict": str(self.verdict),
            "where": self.part.credential.where,
            "reason": self.part.reason.value if self.part.reason is not None else None,
            "facts": {**self.part.credential.facts, **self.facts},
        }


def issued_by(home: Home, token: Issued) -> Profile:
    """The profile that a token was issued by. Raises `StationError`, `ProfileError`."""
    batch = home.ledger.batch(token.order.order.batch)
    if batch is None:
        raise StationError(
            f"batch {token.order.order.batch} is gone from the ledger",
            remedy="Restore it from a backup.",
        )
    return profile_of(batch)


def ending_parts(
    home: Home, token: Issued, cause: Cause, matrix: LifecycleSection | None = None
) -> list[Part]:
    """What a cause does to each thing that relies on the token.

    `matrix` is that of the token's own profile where none is given.
    """
    profile = issued_by(home, token)
    row = (matrix or profile.lifecycle or LifecycleSection()).ending(cause)
    return [
        Part(credential=one, fate=one.fate(row), cause=cause)
        for one in credentials_of(token, profile)
    ]


def resuming_parts(home: Home, token: Issued) -> list[Part]:
    """What was held is released; what was kept is as it was."""
    parts = ending_parts(home, token, COMING_BACK)
    return [
        part if part.fate is Fate.KEEP else Part(credential=part.credential, fate=None)
        for part in parts
    ]


def planned(home: Home, parts: Sequence[Part]) -> list[Planned]:
    """How each stands now; nothing is changed. Raises what an issuer does."""
    found = []
    for part in parts:
        verdict, facts = look(home, part)
        found.append(Planned(part=part, verdict=verdict, facts=facts))
    return found


def suspend(home: Home, token: Issued, order: Order) -> int:
    """Have it accepted nowhere until it is resumed; gives the entry's index.

    Raises `TokenConflict` where it is not in force, and what an issuer does; then the same command
    goes on.
    """
    require(token, State.HELD)
    begun = work.begin(home, WorkKind.SUSPEND, token, order)
    done = settle(home, ending_parts(home, token, COMING_BACK))
    return work.record(home, Kind.SUSPENDED, begun, {"credentials": done})


def resume(home: Home, token: Issued, order: Order) -> int:
    """Have it accepted again; gives the entry's index. Raises as `suspend` does."""
    require(token, State.SUSPENDED)
    begun = work.begin(home, WorkKind.RESUME, token, order)
    done = settle(home, resuming_parts(home, token))
    return work.record(home, Kind.RESUMED, begun, {"credentials": done})


def revoke(
    home: Home,
    token: Issued,
    cause: Cause,
    order: Order,
    *,
    matrix: LifecycleSection | None = None,
) -> int:
    """End its binding, for good; gives the entry's index. Raises as `suspend` does."""
    require(token, State.HELD, State.SUSPENDED)
    begun = work.begin(home, WorkKind.REVOKE, token, order.because(cause))
    cause = Cause(begun.record.parameters["cause"])
    done = settle(home, ending_parts(home, token, cause, matrix))
    members: dict[str, Json] = {"credentials": done, "cause": str(cause)}
    index = work.record(home, Kind.REVOKED, begun, members)
    others = [kind for kind in WorkKind if kind not in _OUTLIVING]
    home.ledger.works.end(token.label, others, f"it was revoked by entry {index}")
    return index
