"""Which tokens are meant by a serial or by a holder, as the manifest and the ledger have them."""

from __future__ import annotations

from dataclasses import dataclass

from tokenprov.errors import InputError, TokenConflict
from tokenprov.home import Home
from tokenprov.model import Holder, TokenId
from tokenprov.record.entry import Entry, Kind, commitment_of
from tokenprov.record.history import State
from tokenprov.record.lives import entries_of
from tokenprov.record.rows import OrderRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token that was issued here: where it stands now, and whose it is or was."""

    token: TokenId
    state: State
    since: int  # the entry that says so
    index: int  # the entry that issued it last
    entry: Entry
    order: OrderRecord
    later: tuple[Entry, ...] = ()  # what was read back from it since, oldest first

    @property
    def steps(self) -> dict[str, Entry]:
        """What was read back last, by the step's id."""
        return {
            step["id"]: step for one in (self.entry, *self.later) for step in one.get("steps", ())
        }

    @property
    def label(self) -> str:
        """The token's."""
        return self.token.label

    @property
    def holder(self) -> Holder:
        """Whose it is or was."""
        return self.order.order.holder

    @property
    def commitment(self) -> str:
        """To the holder."""
        return commitment_of(self.entry) or ""


def find_token(home: Home, serial: str) -> Issued:
    """The token of that serial. Raises `InputError` where this station never issued it."""
    found = _issued(home, serial)
    if found is None:
        raise InputError(
            f"no token {serial} was issued by this station",
            remedy="Look it up: tokenprov manifest search TEXT.",
        )
    return found


def find_tokens(home: Home, subject: str) -> list[Issued]:
    """The token of that serial, or all of the holder with that id, name or mail address.

    Raises `InputError` for nobody that is known here.
    """
    token = _issued(home, subject)
    if token is not None:
        return [token]
    tokens = tokens_of(home, holder_id(home, subject))
    if not tokens:
        raise InputError(
            f"no token was issued to {subject!r}",
            remedy="Look for it: tokenprov manifest search TEXT.",
        )
    return tokens


def holder_id(home: Home, subject: str) -> str:
    """The id of the holder who is named by id, name or mail address.

    Raises `InputError` for nobody, and for a name that several have.
    """
    if home.ledger.issued_to(subject):
        return subject
    ids = set()
    for commitment in home.manifest.held_openings():
        opening = home.manifest.opening(commitment)
        if opening is not None and subject in (
            opening.holder.get(key) for key in ("id", "name", "email", "upn")
        ):
            ids.add(str(opening.holder["id"]))
    if len(ids) == 1:
        return ids.pop()
    raise InputError(
        f"{'several are' if ids else 'nobody is'} known here as {subject!r}",
        remedy=f"Give one of these ids: {', '.join(sorted(ids))}."
        if ids
        else "Give a serial, or a holder's id as it is in the roster.",
    )


def tokens_of(home: Home, holder: str) -> list[Issued]:
    """What was issued to the holder of that id, by kit position; each token once."""
    found: dict[str, Issued] = {}
    for order in home.ledger.issued_to(holder):
        assert order.token is not None, "an order that was issued has its token"
        one = _issued(home, order.token.label)
        if one is not None and one.order.id == order.id:
            found[one.label] = one
    return sorted(found.values(), key=lambda one: (one.order.order.position, one.index))


def the_one(home: Home, subject: str, *states: State) -> Issued:
    """The one token in one of these states that is meant.

    Raises `InputError` where it is none or several, `TokenConflict` where it is a serial and the
    token stands elsewhere.
    """
    found = find_tokens(home, subject)
    if len(found) == 1:
        require(found[0], *states)
        return found[0]
    mine = [one for one in found if one.state in states]
    if len(mine) == 1:
        return mine[0]
    labels = ", ".join(f"{one.label} ({one.state})" for one in found)
    raise InputError(
        f"{len(mine)} tokens of {subject} are {' or '.join(states)}: {labels}",
        remedy="Name the one that is meant by its serial.",
    )


def require(token: Issued, *states: State) -> None:
    """Raises `TokenConflict` where the token stands elsewhere."""
    if token.state not in states:
        raise TokenConflict(
            f"token {token.label} of {token.holder.name} is {token.state} since entry"
            f" {token.since}",
            remedy="See its life: tokenprov manifest history " + token.label,
        )


def _issued(home: Home, serial: str) -> Issued | None:
    later: list[Entry] = []
    for index, entry in entries_of(home.manifest, serial):
        if entry["kind"] in (Kind.UNBLOCKED, Kind.ROTATED):
            later.insert(0, entry)
        if entry["kind"] != Kind.ISSUED:
            continue
        order = home.ledger.order(entry["order"])
        life = home.manifest.life(entry["token"])
        if order is None or order.token is None or life is None:
            return None
        return Issued(
            token=order.token,
            state=life.state,
            since=life.entry,
            index=index,
            entry=entry,
            order=order,
            later=tuple(later),
        )
    return None
