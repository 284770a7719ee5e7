"""What a replacement, a return or a retirement would do beside ending credentials; nothing is done.

What becomes of credentials is `standing.planned`'s. A new token's steps are those of the profile as
it stands: what a token's firmware lacks is known when it is there (`tokenprov plan`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tokenprov.home import Home
from tokenprov.lifecycle import giving_back, standing, unblocking
from tokenprov.lifecycle.giving_back import Means
from tokenprov.lifecycle.replacement import keys_of
from tokenprov.lifecycle.subject import Issued
from tokenprov.model import Cause, Json
from tokenprov.model import Order as TokenOrder
from tokenprov.plan import steps_for
from tokenprov.profile import Profile
from tokenprov.profile.lifecycle import LifecycleSection, TokenFate, When
from tokenprov.record.history import EMPTIED, HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that would be done; `step` is of the plan for a new token."""

    title: str
    step: str = ""

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {"title": self.title, "step": self.step or None}


def of_replacement(
    home: Home, old: Issued, cause: Cause, profile: Profile | None = None
) -> Iterator[Act]:
    """What becomes of the old token, and when; what comes onto the new one."""
    chosen = profile or standing.issued_by(home, old)
    row = (chosen.lifecycle or LifecycleSection()).ending(cause)
    word = "suspend" if row.token is TokenFate.SUSPEND else "revoke"
    when = "at once" if row.when is When.AT_ONCE else "once the new token was issued"
    if old.state in HELD:
        yield Act(title=f"{word} the binding of token {old.label}, {when}")
    place = old.order.order.position
    yield Act(
        title=f"issue a token by profile {chosen.name} to {old.holder.name}, as"
        f" {f'spare {place}' if place else 'the primary'}"
    )
    order = TokenOrder(
        id=f"{old.order.id}-next",
        batch=old.order.order.batch,
        holder=old.holder,
        position=place,
        profile=chosen.name,
        profile_digest=chosen.digest,
    )
    for step in steps_for(chosen, order, home):
        yield Act(title=f"  {step.title}", step=step.id)
    for key in keys_of(home, old, chosen, row):
        yield Act(title=f"  {key.name} of token {old.label} into a retired slot, by break-glass")
    if row.token is TokenFate.REVOKE:
        yield Act(title=f"link the new token with token {old.label}")


def of_return(token: Issued) -> Iterator[Act]:
    """What is emptied, and where the token is then."""
    yield from _ended(token)
    yield from _emptied(token)
    yield Act(title="put it into stock")


def of_retiring(token: Issued, means: Means, witness: str) -> Iterator[Act]:
    """The same of a token that is taken out of use."""
    yield from _ended(token)
    if means is Means.WIPED and token.state not in EMPTIED:
        yield from _emptied(token)
    yield Act(title=f"retire it for good, {means}, before {witness}")


def _ended(token: Issued) -> Iterator[Act]:
    if token.state in HELD:
        yield Act(title=f"revoke the binding of token {token.label}")


def _emptied(token: Issued) -> Iterator[Act]:
    if giving_back.has_locks(token):
        what = "SO PIN" if unblocking.SO_PIN in token.steps else "access codes and lock code"
        yield Act(title=f"open its {what}, by token administration's key")
    yield Act(title="reset every application, and read back that it is nobody's")
