"""A holder leaves: every binding ends, and what still lives is said with where.

Rules (SP 800-63B 4.5):
- All that can be ended is tried, whatever fails on the way; the same command tries the rest again.
- What is to be made for the holder (an order, a replacement) is told; a replacement is given up.
- Nothing is told as ended that was not read back as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tokenprov.errors import DurabilityError, TokenprovError
from tokenprov.home import Home
from tokenprov.lifecycle import standing
from tokenprov.lifecycle.credentials import Credential, credentials_of
from tokenprov.lifecycle.ending import Part, Verdict, look
from tokenprov.lifecycle.subject import Issued, tokens_of
from tokenprov.lifecycle.work import Order
from tokenprov.model import Cause, Json, OrderState
from tokenprov.policy import Act, Action, Agreement, enforce
from tokenprov.profile.lifecycle import Fate
from tokenprov.record.history import HELD
from tokenprov.record.kinds import Kind
from tokenprov.record.works import WorkKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Living:
    """Something that relies on a token: whether it is accepted, and where."""

    token: Issued
    credential: Credential
    accepted: bool | None  # None: nobody here can tell
    trouble: str = ""

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {
            "serial": self.token.label,
            "step": self.credential.id,
            "title": self.credential.title,
            "where": self.credential.where,
            "accepted": self.accepted,
            "trouble": self.trouble,
            "facts": dict(self.credential.facts),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What came of it."""

    ended: tuple[Issued, ...]
    failed: tuple[tuple[Issued, TokenprovError], ...]


def leave(home: Home, holder: str, order: Order) -> Left:
    """End every binding of the holder of that id.

    What an issuer or a relying party did not do, or cannot be asked, is in `failed`. Raises
    PolicyError, ApprovalError, DurabilityError.
    """
    tokens = [one for one in tokens_of(home, holder) if one.state in HELD]
    if not tokens:
        return Left(ended=(), failed=())
    before = _ended_by(home, order.agreement)  # where it was cut off, or an issuer did not answer
    act = Act(
        action=Action.LEAVE,
        operator=order.operator,
        about={"tokens": ",".join(sorted({one.label for one in tokens} | before))},
        holder=tokens[0].commitment,
        groups=tokens[0].holder.groups,
    )
    clearance = enforce(home, act, order.agreement)
    part = Order(operator=order.operator, reason=order.reason, clearance=clearance)
    ended, failed = [], []
    for token in tokens:
        home.ledger.works.end(token.label, [WorkKind.REPLACE], "its holder left")
        try:
            standing.revoke(home, token, Cause.LEFT, part)
        except DurabilityError:
            raise
        except TokenprovError as error:
            failed.append((token, error))
        else:
            ended.append(token)
    return Left(ended=tuple(ended), failed=tuple(failed))


def _ended_by(home: Home, agreement: Agreement) -> set[str]:
    """The tokens that were revoked by what was agreed to here."""
    numbers = {n for one in agreement.requests() for n in home.manifest.found_by(f"request {one}")}
    entries = map(home.manifest.entry, numbers)
    return {one["token"]["serial"] for one in entries if one["kind"] == Kind.REVOKED}


def living(home: Home, holder: str) -> list[Living]:
    """What relies on the holder's tokens, and is accepted or may be; nothing is changed."""
    return [
        one
        for token in tokens_of(home, holder)
        for one in relying_on(home, token)
        if one.accepted is not False
    ]


def relying_on(home: Home, token: Issued) -> Iterator[Living]:
    """Everything that relies on a token, looked at where it is accepted."""
    for credential in credentials_of(token, standing.issued_by(home, token)):
        try:
            verdict, _ = look(home, Part(credential=credential, fate=Fate.END))
        except DurabilityError:
            raise
        except TokenprovError as error:
            yield Living(token=token, credential=credential, accepted=None, trouble=error.message)
            continue
        accepted = None if verdict is Verdict.ELSEWHERE else verdict is Verdict.DO
        yield Living(token=token, credential=credential, accepted=accepted)


def to_be_made(home: Home, holder: str) -> list[str]:
    """The orders of the holder that are not issued."""
    return [
        one.id
        for batch in home.ledger.batches()
        if home.ledger.closed_by(batch.id) is None
        for state in OrderState
        if state is not OrderState.ISSUED
        for one in home.ledger.orders(batch.id, state)
        if one.order.holder.id == holder
    ]
