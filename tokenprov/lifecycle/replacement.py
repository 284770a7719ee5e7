"""A token's holder gets another one in its place.

    begin        the work, and an order of its own bound to the holder and the kit position
    end_at_once  what the matrix ends or holds before the new token is there
    old_keys     the holder's encryption keys out of escrow, for the new token's retired slots
    (the line makes the order)
    finish       what the matrix ends once it is replaced, and the link between old and new

Rules:
- What somebody else may have is ended first: neither the new token nor a custodian's key is waited
  for.
- The new token is for the holder as the old one names them, so that both are one person's.
- A token that another one stands in for up to a last day is not replaced: it is suspended, and
  comes back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from tokenprov.custody import AnyKey, Form, Opened, Reason, open_sealed, sealed
from tokenprov.errors import TokenConflict
from tokenprov.home import Home
from tokenprov.lifecycle import standing, work
from tokenprov.lifecycle.subject import Issued, find_token, find_tokens, require, the_one
from tokenprov.lifecycle.work import Order, Work
from tokenprov.model import Cause, OrderState, Purpose, SecretKind
from tokenprov.model import Order as TokenOrder
from tokenprov.ordering import profile_of
from tokenprov.profile import Profile
from tokenprov.profile.lifecycle import EncryptionKeys, Ending, LifecycleSection, TokenFate, When
from tokenprov.record.canonical import canonical
from tokenprov.record.entry import Kind
from tokenprov.record.history import State
from tokenprov.record.rows import Batch, EnvelopeRecord, EnvelopeState
from tokenprov.record.works import WorkKind, WorkRecord
from tokenprov.steps.piv.history import RetiredKey

REPLACED_BY = (Cause.LOST, Cause.STOLEN, Cause.DAMAGED, Cause.EXPIRED, Cause.UPGRADE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One that was begun: the old token, and the order for the new one."""

    work: Work
    old: Issued
    batch: Batch
    profile: Profile  # of the new token

    @property
    def cause(self) -> Cause:
        """Why."""
        return Cause(self.work.record.parameters["cause"])

    @property
    def ending(self) -> Ending:
        """The row of the matrix: that of the new token's profile."""
        return (self.profile.lifecycle or LifecycleSection()).ending(self.cause)


def meant(home: Home, subject: str) -> Issued:
    """The token of a serial or a holder that is being replaced, or else is to be.

    Raises `InputError` where it is none or several, `TokenConflict` for one that is nobody's.
    """
    tokens = find_tokens(home, subject)
    begun = [one for one in tokens if _open_work(home, one.label) is not None]
    if len(begun) == 1:
        return begun[0]
    only = (State.REVOKED,) if len(tokens) == 1 else ()
    return the_one(home, subject, State.HELD, State.SUSPENDED, *only)


def begin(
    home: Home,
    old: Issued,
    cause: Cause,
    order: Order,
    *,
    profile: Profile | None = None,
    until: date | None = None,
) -> Replacement:
    """Promise it, with an order for the new token; what was begun before is gone on with.

    `profile` is today's; None: the one that the old token was made by. `until` is the last day of
    a token that stands in. Raises `TokenConflict` for a token that was replaced, or is nobody's.
    """
    if _open_work(home, old.label) is None:
        require(old, State.HELD, State.SUSPENDED, State.REVOKED)
        if home.manifest.entry(old.since)["kind"] == Kind.REPLACED:
            raise TokenConflict(
                f"token {old.label} of {old.holder.name} was replaced by entry {old.since}",
                remedy=f"See: tokenprov manifest show {old.since}",
            )
        order = order.with_(until=until.isoformat() if until else "")
    order = replace(order.because(cause), profile=profile or standing.issued_by(home, old))
    found = work.begin(home, WorkKind.REPLACE, old, order)
    batch = home.ledger.batch(found.record.id) or _new_batch(home, found.record, old, profile)
    return Replacement(work=found, old=old, batch=batch, profile=profile_of(batch))


def end_at_once(home: Home, made: Replacement) -> None:
    """Suspend or revoke the old token, where that does not wait for the new one."""
    if made.ending.when is When.AT_ONCE:
        _end(home, made)


def wanted_keys(home: Home, made: Replacement) -> list[EnvelopeRecord]:
    """The envelopes of the old encryption keys that come onto the new token, newest first."""
    return keys_of(home, made.old, made.profile, made.ending)


def keys_of(home: Home, old: Issued, profile: Profile, ending: Ending) -> list[EnvelopeRecord]:
    """The same of a replacement that is only thought of."""
    if ending.encryption_keys is EncryptionKeys.LEAVE or profile.piv is None:
        return []
    last: dict[str, EnvelopeRecord] = {}  # by name: a token that was wiped since held them too
    for one in sealed(home, token=old.label, purpose=Purpose.BREAK_GLASS, superseded=True):
        if (
            one.kind is SecretKind.ENCRYPTION_KEY
            and one.state is not EnvelopeState.PREPARED
            and one.order == old.order.id
            and one.generation >= last.get(one.name, one).generation
        ):
            last[one.name] = one
    found = [one for one in last.values() if _certificate(home, old, one) is not None]
    return sorted(found, key=lambda one: (one.name != "piv/9d/key", one.name))


def old_keys(home: Home, made: Replacement, key: AnyKey) -> tuple[RetiredKey, ...]:
    """The keys themselves, opened on the record by break-glass. Raises `EscrowError`."""
    envelopes = wanted_keys(home, made)
    if not envelopes:
        return ()
    certificates = [_certificate(home, made.old, one) for one in envelopes]

    def prepare(opened: list[Opened]) -> tuple[RetiredKey, ...]:
        return tuple(
            RetiredKey(private_key=one.value, certificate=certificate)
            for one, certificate in zip(opened, certificates, strict=True)
            if certificate is not None
        )

    text = f"{made.cause}: replacing token {made.old.label}"
    why = Reason(operator=made.work.record.operator, text=text)
    agreed = made.work.clearance
    return open_sealed(home, envelopes, key, why, form=Form.TOKEN, about=agreed, prepare=prepare)


def finish(home: Home, made: Replacement) -> Issued | None:
    """The new token, once it was issued and linked with the old one; None before.

    Raises what ending the old one does; the same command then goes on.
    """
    (record,) = home.ledger.orders(made.batch.id)
    if record.state is not OrderState.ISSUED:
        return None
    assert record.token is not None, "what is issued has its token"
    new = find_token(home, record.token.label)
    _end(home, made)
    if made.ending.token is TokenFate.SUSPEND:
        why = f"token {new.label} stands in for it by entry {new.index}"
        home.ledger.works.end(made.old.label, [WorkKind.REPLACE], why)
    else:
        members = {"by": new.entry["token"], "cause": str(made.cause)}
        work.record(home, Kind.REPLACED, made.work, members)
    return new


def batch_is_replacement(home: Home, batch: str) -> str | None:
    """The token that the order of a batch is to replace, while that is not finished."""
    found = home.ledger.works.find(batch)
    return found.label if found is not None and found.is_open else None


def _open_work(home: Home, label: str) -> WorkRecord | None:
    found = home.ledger.works.unfinished(label)
    return next((one for one in found if one.kind is WorkKind.REPLACE), None)


def _end(home: Home, made: Replacement) -> None:
    now = find_token(home, made.old.label)
    order = made.work.part
    if made.ending.token is TokenFate.SUSPEND:
        if now.state is State.HELD:
            standing.suspend(home, now, order)
    elif now.state in (State.HELD, State.SUSPENDED):
        standing.revoke(home, now, made.cause, order, matrix=made.profile.lifecycle)


def _new_batch(home: Home, found: WorkRecord, old: Issued, profile: Profile | None) -> Batch:
    """A batch of one order, named as the work."""
    chosen = profile or standing.issued_by(home, old)
    holder, until = old.holder, found.parameters["until"]
    if until:
        day = date.fromisoformat(until)
        holder = replace(holder, last_day=min(day, holder.last_day or day))
    order = TokenOrder(
        id=f"{found.id}-0001",
        batch=found.id,
        holder=holder,
        position=old.order.order.position,
        profile=chosen.name,
        profile_digest=chosen.digest,
    )
    return home.ledger.create_batch(
        id=found.id,
        roster_digest=hashlib.sha256(f"replacement {found.id}".encode()).hexdigest(),
        profile_name=chosen.name,
        profile_digest=chosen.digest,
        profile_source=canonical(chosen.to_json()).decode(),
        kit_size=old.entry["kit"]["size"],
        orders=[order],
        created=found.began,
        operator=found.operator,
    )


def _certificate(home: Home, old: Issued, envelope: EnvelopeRecord) -> bytes | None:
    """The certificate beside a key, as it was read back; None where there was none."""
    step = old.steps.get(envelope.name.removesuffix("/key") + "/certificate", {})
    for one in _evidence(step):
        return home.manifest.blob(one)
    return None


def _evidence(step: dict[str, list[dict[str, str]]]) -> Iterator[str]:
    for one in step.get("evidence", ()):
        if one["type"] == "certificate":
            yield one["sha256"]
