"""The ledger's tables, in SQL that SQLite and PostgreSQL share.

Rules:
- Times are text as in `canonical.timestamp`; documents are JSON text; states are the enums' words.
- An intent and an envelope belong to an order *and* the token it was bound to then: an order that
  is released and bound to another token begins anew, and what the first one was told is kept.
- `SCHEMA` counts up with every change; a ledger of a later schema is refused. What came since the
  first (2: wipes; 3: stock, never, aside, closed; 4: works; 5: resets) are tables of their own,
  made where they are missing.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from tokenprov.model import OrderState

SCHEMA = 5

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

batches = Table(
    "batches",
    metadata,
    Column("id", String, primary_key=True),
    Column("roster_digest", String, nullable=False),
    Column("profile_name", String, nullable=False),
    Column("profile_digest", String, nullable=False),
    Column("profile_source", Text, nullable=False),
    Column("kit_size", Integer, nullable=False),
    Column("created", String, nullable=False),
    Column("operator", String, nullable=False),
    UniqueConstraint("roster_digest", "profile_digest", "kit_size"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", String, primary_key=True),
    Column("batch", ForeignKey("batches.id"), nullable=False),
    Column("row", Integer, nullable=False),  # the holder's place in the roster, from 0
    Column("position", Integer, nullable=False),  # in the kit, from 0
    Column("holder_id", String, nullable=False),
    Column("holder", Text, nullable=False),
    Column("profile", String, nullable=False),
    Column("profile_digest", String, nullable=False),
    Column("state", String, nullable=False),
    Column("token_label", String),  # null while bound to none
    Column("token", Text),
    Column("inventory", Text),  # what was on the token when it was claimed
    Column("reason", Text),  # why it failed
    Column("station", String),
    Column("entry_index", Integer),  # in that station's manifest
    Column("changed", String),
    UniqueConstraint("batch", "row", "position"),
    UniqueConstraint("station", "entry_index"),
)
Index("orders_by_state", orders.c.batch, orders.c.state, orders.c.row, orders.c.position)
Index("orders_by_token", orders.c.token_label)
Index("orders_by_holder", orders.c.holder_id)
# As text, which both databases read alike: `Index(postgresql_where=)` loads all of PostgreSQL's
# dialect, which takes a tenth of the program's start.
one_unfinished_order_per_token = DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it bare
    "CREATE UNIQUE INDEX one_unfinished_order_per_token ON orders (token_label) "
    f"WHERE state != '{OrderState.ISSUED}' AND token_label IS NOT NULL"
)
event.listen(orders, "after_create", one_unfinished_order_per_token)

intents = Table(
    "intents",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # in order of writing
    Column("order_id", ForeignKey("orders.id"), nullable=False),
    Column("token_label", String, nullable=False),
    Column("step", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("at", String, nullable=False),
    UniqueConstraint("order_id", "token_label", "step", "generation"),
)

envelopes = Table(
    "envelopes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("order_id", String, nullable=False),
    Column("token_label", String, nullable=False),
    Column("step", String, nullable=False),
    Column("intent_generation", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("kid", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("state", String, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["order_id", "token_label", "step", "intent_generation"],
        ["intents.order_id", "intents.token_label", "intents.step", "intents.generation"],
    ),
    UniqueConstraint("order_id", "token_label", "name", "purpose", "kid", "generation"),
)
Index("envelopes_by_token", envelopes.c.token_label)

wipes = Table(
    "wipes",
    metadata,
    Column("id", String, primary_key=True),
    Column("token_label", String, nullable=False),
    Column("token", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("operator", String, nullable=False),
    Column("found", Text, nullable=False),  # what was on the token before the first write
    Column("began", String, nullable=False),
    Column("station", String, nullable=False),
    Column("entry_index", Integer),  # in that station's manifest; null while it is not finished
    UniqueConstraint("station", "entry_index"),
)
one_open_wipe_per_token = DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it bare
    "CREATE UNIQUE INDEX one_open_wipe_per_token ON wipes (token_label) WHERE entry_index IS NULL"
)
event.listen(wipes, "after_create", one_open_wipe_per_token)

resets = Table(  # of tokens that are known by nothing after it: it was about to be sent
    "resets",
    metadata,
    Column("wipe", ForeignKey("wipes.id"), primary_key=True),
    Column("at", String, nullable=False),
    Column("mark", String),  # that the token got next, where it went on in its batch
)


def _serials(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("serial", String, primary_key=True),
        Column("note", Text, nullable=False),  # the file that it came from, or the reason
        Column("operator", String, nullable=False),
        Column("at", String, nullable=False),
    )


stock = _serials("stock")  # where this is empty any token may be taken
never = _serials("never")  # and these never

aside = Table(  # tokens that are not taken again
    "aside",
    metadata,
    Column("token_label", String, primary_key=True),
    Column("order_id", String, nullable=False),  # that it was begun for; "" for none
    Column("batch", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("operator", String, nullable=False),
    Column("at", String, nullable=False),
    Column("station", String, nullable=False),
    Column("entry_index", Integer, nullable=False),  # in that station's manifest
)
Index("aside_by_batch", aside.c.batch)

closed = Table(  # batches that take no more tokens
    "closed",
    metadata,
    Column("batch", ForeignKey("batches.id"), primary_key=True),
    Column("operator", String, nullable=False),
    Column("at", String, nullable=False),
    Column("station", String, nullable=False),
    Column("entry_index", Integer, nullable=False),  # in that station's manifest
)

works = Table(  # what is done to a token after its issue
    "works",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("token_label", String, nullable=False),
    Column("order_id", ForeignKey("orders.id"), nullable=False),  # that issued the token
    Column("generation", Integer, nullable=False),  # of what it writes to the token; 0: nothing
    Column("parameters", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("operator", String, nullable=False),
    Column("began", String, nullable=False),
    Column("station", String, nullable=False),
    Column("ended", Text),  # why it has no entry and gets none
    Column("entry_index", Integer),  # in that station's manifest; null while it is not finished
)
one_open_work_of_a_kind = DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it bare
    "CREATE UNIQUE INDEX one_open_work_of_a_kind ON works (token_label, kind)"
    " WHERE entry_index IS NULL AND ended IS NULL"
)
event.listen(works, "after_create", one_open_work_of_a_kind)
