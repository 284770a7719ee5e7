"""A token that its holder gives back: emptied and put into stock, or taken out of use for good.

Rules:
- Its binding ends first; only then is anything on it touched.
- What keeps it from being reset (access codes, a lock code) is taken off with what escrow has; a
  token behind a PKCS#11 module is erased by its SO PIN.
- It is in stock when it reads back as nobody's (`wipe`), and not before. One that was known by a
  mark is a new token then, and in no list.
- A token is retired before a witness, who is another person than the operator: emptied, or
  destroyed, which nothing but the witness vouches for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from enum import StrEnum
from functools import partial

from tokenprov.errors import InputError, TokenConflict
from tokenprov.home import Home
from tokenprov.inventory import take_inventory
from tokenprov.issuance import end_work
from tokenprov.lifecycle import standing, work
from tokenprov.lifecycle.standing import issued_by
from tokenprov.lifecycle.subject import Issued, find_token, require
from tokenprov.lifecycle.telling import Bench
from tokenprov.lifecycle.work import Order, Work
from tokenprov.model import Cause, Json, SecretKind
from tokenprov.record.entry import Kind, entry_head
from tokenprov.record.history import EMPTIED, HELD, State
from tokenprov.record.manifest import Addition
from tokenprov.record.works import WorkKind
from tokenprov.secret import Secret
from tokenprov.steps.unlock import unlock
from tokenprov.unnumbered import only
from tokenprov.unseen import awaited, finish_unseen
from tokenprov.wipe import Permission, WipeFirst, erasing, wipe

# out of escrow
LOCKS = frozenset({SecretKind.OTP_ACCESS_CODE, SecretKind.LOCK_CODE, SecretKind.PKCS11_SO_PIN})
_BEFORE = (State.HELD, State.SUSPENDED, State.REVOKED)


class Means(StrEnum):
    """How a token is taken out of use; the word stands in its entry."""

    WIPED = "wiped"
    DESTROYED = "destroyed"


def begin_return(home: Home, token: Issued, order: Order) -> Work:
    """Promise it, and end the token's binding. Raises what ending it does."""
    begun = _unfinished(home, token, WorkKind.RETURN)
    require(token, *_BEFORE, *(EMPTIED if begun else ()))
    return _unbound(home, work.begin(home, WorkKind.RETURN, token, order))


def begin_retiring(home: Home, token: Issued, means: Means, witness: str, order: Order) -> Work:
    """The same for a token that is to be retired. Raises `InputError` without another witness."""
    if not witness or witness == order.operator:
        raise InputError(
            "a token is retired before a witness, who is not the operator",
            remedy="Write --witness NAME: whoever sees it done.",
        )
    require(token, *_BEFORE, *EMPTIED, State.ASIDE)
    order = order.with_(means=str(means), witness=witness)
    return _unbound(home, work.begin(home, WorkKind.RETIRE, token, order))


def wants_emptying(home: Home, begun: Work) -> bool:
    """Whether the token is still to be emptied."""
    means = begun.record.parameters.get("means", Means.WIPED)
    now = find_token(home, begun.token.label)
    return means == Means.WIPED and now.state not in EMPTIED


def has_locks(token: Issued) -> bool:
    """Whether something of ours keeps it from being reset."""
    names = {one["kind"] for one in token.entry["secrets"]}
    return bool(names & {str(kind) for kind in LOCKS})


def empty(home: Home, begun: Work, bench: Bench, held: Mapping[str, Secret]) -> int:
    """Put every application back to the factory's and prove it; the entry's index.

    Raises what the token does; the same command then goes on.
    """
    token = begun.token.token
    permission = Permission(
        serials=frozenset({begun.record.label}),
        reason=begun.record.reason,
        operator=begun.record.operator,
    )
    with bench.opened() as there:
        left = awaited(home, there, permission.covers)
        if left is not None:
            return finish_unseen(home, there, left, begun.clearance, nullcontext())
        only(home, token)(there)
        used = take_inventory(there).used
    index, _ = wipe(
        home,
        WipeFirst(token, used),
        bench.reader,
        bench.operator,
        permission,
        recording=nullcontext(),
        source=bench.source,
        unlock=partial(unlock, held=held),
        erase=erasing(issued_by(home, begun.token), held),
        cleared=begun.clearance,
    )
    return index


def finish_return(home: Home, begun: Work) -> int:
    """The token is in stock; gives the entry that says so."""
    now = find_token(home, begun.token.label)
    require(now, *EMPTIED)
    stock = home.ledger.stock
    if now.state is State.STOCK and stock.is_kept() and not stock.holds(now.label):
        stock.receive([now.label], "given back", begun.record.operator, home.clock())
    home.ledger.works.end(now.label, [WorkKind.RETURN], f"{now.state} by entry {now.since}")
    return now.since


def finish_retiring(home: Home, begun: Work) -> int:
    """Record it; nothing follows that entry. Gives its index."""
    if wants_emptying(home, begun):
        raise TokenConflict(
            f"token {begun.token.label} is not emptied", remedy="Put it into a reader first."
        )
    record = begun.record
    entry: dict[str, Json] = {
        **entry_head(Kind.RETIRED, time=home.clock(), station=home.name, operator=record.operator),
        "token": begun.token.entry["token"],
        "reason": record.reason,
        "work": record.id,
        "means": record.parameters["means"],
        "witness": record.parameters["witness"],
    }
    index = home.manifest.append_many([begun.clearance.cover(Addition(entry=entry))])
    end_work(home, record.id, index)
    return index


def _unbound(home: Home, begun: Work) -> Work:
    now = find_token(home, begun.token.label)
    if now.state in HELD:
        standing.revoke(home, now, Cause.RETURNED, begun.part)
    return begun


def _unfinished(home: Home, token: Issued, kind: WorkKind) -> bool:
    return any(one.kind is kind for one in home.ledger.works.unfinished(token.label))
