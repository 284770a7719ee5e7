"""The orders of a roster: one batch for the same roster, profile and kit size, made once.

What is made of them, token by token, is `batch`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

from tokenprov.errors import ProfileError
from tokenprov.home import Home
from tokenprov.model import Order, OrderState
from tokenprov.policy import Act, Action, Agreement, Clearance, enforce
from tokenprov.profile import Profile, check_roster
from tokenprov.record.canonical import canonical
from tokenprov.record.rows import Batch
from tokenprov.roster import Roster

MAX_KIT = 5  # tokens of one holder


def new_batch(
    home: Home, roster: Roster, profile: Profile, *, kit_size: int, operator: str
) -> Batch:
    """The batch of that roster, profile and kit size: found, or made and stored.

    Raises `ProfileError` for what a row of the roster lacks.
    """
    check_roster(profile, roster)
    digest = profile.digest
    found = home.ledger.find_batch(roster.digest, digest, kit_size)
    if found is not None:
        return found
    created = home.clock()
    batch_id = f"{created:%Y%m%d}-{secrets.token_hex(3)}"
    orders = (
        Order(
            id=f"{batch_id}-{row * kit_size + position + 1:04d}",
            batch=batch_id,
            holder=holder,
            position=position,
            profile=profile.name,
            profile_digest=digest,
        )
        for row, holder in enumerate(roster.holders)
        for position in range(kit_size)
    )
    return home.ledger.create_batch(
        id=batch_id,
        roster_digest=roster.digest,
        profile_name=profile.name,
        profile_digest=digest,
        profile_source=canonical(profile.to_json()).decode(),
        kit_size=kit_size,
        orders=orders,
        created=created,
        operator=operator,
    )


def open_elsewhere(home: Home, made: Batch) -> list[str]:
    """Other batches that still are to make tokens for holders of this one, where it is not begun.

    A slip in roster, profile or kit size makes another batch, and the holders would get both.
    """
    counts = home.ledger.count_orders(made.id)
    if counts[OrderState.OPEN] < sum(counts.values()):
        return []
    mine = {one.order.holder.id for one in home.ledger.orders(made.id)}
    return [
        other.id
        for other in unclosed(home)
        if other.id != made.id
        and any(
            one.order.holder.id in mine for one in home.ledger.orders(other.id, OrderState.OPEN)
        )
    ]


def unclosed(home: Home) -> Iterator[Batch]:
    """The batches of rosters that go on; the one order of a replacement is that of its command."""
    for batch in home.ledger.batches():
        if home.ledger.closed_by(batch.id) is None and home.ledger.works.find(batch.id) is None:
            yield batch


def clear_batch(
    home: Home, batch: Batch, profile: Profile, operator: str, agreement: Agreement
) -> Clearance:
    """Let a batch be issued by the station's rules. Raises `PolicyError`, `ApprovalError`."""
    groups = {group for one in home.ledger.orders(batch.id) for group in one.order.holder.groups}
    about = {"batch": batch.id}
    act = Act(
        action=Action.ISSUE,
        operator=operator,
        about=about,
        groups=sorted(groups),
        profile=profile,
    )
    return enforce(home, act, agreement.meant_for(act.action, about))


def profile_of(batch: Batch) -> Profile:
    """The profile of a batch as the ledger keeps it.

    Raises `ProfileError` where this version of the program reads another profile in it.
    """
    try:
        profile = Profile.model_validate(
            json.loads(batch.profile_source), by_alias=True, by_name=False
        )
    except ValueError as error:
        raise _other_profile(batch) from error
    if profile.digest != batch.profile_digest:
        raise _other_profile(batch)
    return profile


def _other_profile(batch: Batch) -> ProfileError:
    return ProfileError(
        f"the profile {batch.profile_name} of batch {batch.id} is not taken as it was any more",
        remedy="Run the batch by its roster and profile, with the version that made it.",
    )
