"""What a ledger has about a token that was put in, asked in one go: for most tokens it is nothing.

Whatever is there is then read by who deals with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BindParameter, Connection, bindparam, exists, select

from tokenprov.record import tables as t

_LABEL: BindParameter[str] = bindparam("label")
_OPEN_WIPE = (t.wipes.c.token_label == _LABEL, t.wipes.c.entry_index.is_(None))
_STANDING = select(  # built once, as building takes longer than running
    exists().where(t.never.c.serial == _LABEL).label("never"),
    exists().where(t.aside.c.token_label == _LABEL).label("aside"),
    exists().where(*_OPEN_WIPE).label("wipe"),
    exists().where(t.orders.c.token_label == _LABEL).label("order"),
    exists(select(t.stock.c.serial)).label("stock"),
    exists().where(t.stock.c.serial == _LABEL).label("stocked"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether there is anything about a token on each of the lists, and any stock at all."""

    never: bool
    aside: bool
    wipe: bool  # one that is not finished
    order: bool  # begun or issued
    stock: bool
    stocked: bool


def standing(connection: Connection, label: str) -> Standing:
    """What there is about the token of that label."""
    row = connection.execute(_STANDING, {"label": label}).mappings().one()
    return Standing(**{name: bool(value) for name, value in row.items()})
