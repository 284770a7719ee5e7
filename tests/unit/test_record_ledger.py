"""The ledger: what was acknowledged is there, and orders and tokens are bound one to one."""

import dataclasses
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.schema import CreateIndex, CreateTable

from tokenprov.errors import DurabilityError, StationBusy, StationError, WrongToken
from tokenprov.model import Holder, Order, OrderState, Purpose, SecretKind, TokenId
from tokenprov.record import bindings, journal, tables
from tokenprov.record.aside import AsideRecord
from tokenprov.record.database import sqlite_url
from tokenprov.record.escrow import STATION
from tokenprov.record.ledger import (
    Batch,
    EnvelopeRecord,
    EnvelopeState,
    IntentRecord,
    Ledger,
    OrderRecord,
    WipeRecord,
)
from tokenprov.record.rows import Claim

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
TOKEN_A = TokenId(maker="yubico", model="YubiKey 5 NFC", firmware="5.7.4", serial="10000001")
TOKEN_B = dataclasses.replace(TOKEN_A, serial="10000002")
BLOB = b"sealed"


def holder(number: int) -> Holder:
    """A holder with every field filled."""
    return Holder(
        id=f"p{number}",
        name=f"Zoë {number}",
        email=f"p{number}@example.org",
        upn=f"p{number}@ad.example.org",
        groups=("staff", "lab"),
        last_day=date(2027, 1, 31),
        extra={"site": "Graz"},
    )


def orders_of(batch: str, holders: int, kit: int) -> list[Order]:
    """Orders in the roster's order, kits together."""
    return [
        Order(
            id=f"{batch}-{row * kit + position:04}",
            batch=batch,
            holder=holder(row),
            position=position,
            profile="employee",
            profile_digest="d1",
        )
        for row in range(holders)
        for position in range(kit)
    ]


def create(
    ledger: Ledger, batch: str = "b1", roster: str = "r1", holders: int = 2, kit: int = 2
) -> Batch:
    """A small batch."""
    return ledger.create_batch(
        batch, roster, "employee", "d1", "[piv]", kit, orders_of(batch, holders, kit), NOW, "olga"
    )


def envelope(order: str, token: TokenId, purpose: str, generation: int = 1) -> EnvelopeRecord:
    """A sealed PUK."""
    return EnvelopeRecord(
        order=order,
        token_label=token.label,
        name="piv/puk",
        kind=SecretKind.PIV_PUK,
        purpose=purpose,
        kid="0011223344556677",
        generation=generation,
        sha256=hashlib.sha256(BLOB).hexdigest(),
        blob=BLOB,
    )


def intent(order: str, step: str = "piv/puk", generation: int = 1) -> IntentRecord:
    """A promise to write."""
    return IntentRecord(
        order=order, step=step, generation=generation, parameters={"tries": 5}, at=NOW
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "home" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """An empty one."""
    made = Ledger(sqlite_url(path), station="station-a")
    yield made
    made.close()


def states(ledger: Ledger) -> list[tuple[str, str]]:
    """Purpose and state of all envelopes."""
    return [(e.purpose, e.state.value) for e in ledger.envelopes()]


def test_settings(ledger: Ledger, path: Path) -> None:
    """Every connection has the settings that durability rests on, and the files are private."""
    create(ledger)
    with ledger._database.read() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    full = 2  # https://sqlite.org/pragma.html#pragma_synchronous
    assert values == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "secure_delete": 1,
    }
    for name in os.listdir(path.parent):
        assert os.stat(path.parent / name).st_mode & 0o777 == 0o600, name


def test_batch_round_trip(ledger: Ledger) -> None:
    """A batch and its orders come back as they were, kits together, in the roster's order."""
    batch = create(ledger)
    assert ledger.batch("b1") == batch == ledger.find_batch("r1", "d1", 2)
    assert ledger.batches() == [batch]
    assert [r.order for r in ledger.orders("b1")] == orders_of("b1", 2, 2)
    assert ledger.count_orders("b1")[OrderState.OPEN] == 4
    assert ledger.batch("b2") is None
    assert ledger.order("b1-9999") is None
    assert ledger.find_batch("r1", "d1", 1) is None


def test_same_batch_again(ledger: Ledger) -> None:
    """The same roster, profile and kit find the batch that is there, with its work."""
    first = create(ledger)
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    assert create(ledger, batch="b2") == first
    assert [b.id for b in ledger.batches()] == ["b1"]
    with pytest.raises(StationError, match="another roster"):
        create(ledger, batch="b1", roster="r2")


def test_large_batch(ledger: Ledger) -> None:
    """Twenty thousand orders are stored and gone through in pages, within a second or two."""
    create(ledger, holders=10_000)
    assert sum(1 for _ in ledger.orders("b1")) == 20_000
    assert list(ledger.orders("b1", OrderState.ISSUED)) == []


def test_open_orders(ledger: Ledger) -> None:
    """A holder's kit is handed out before the next holder's; what was claimed is not open."""
    create(ledger)
    assert ledger.open_orders("b1") == ["b1-0000", "b1-0001", "b1-0002", "b1-0003"]
    ledger.claim("b1-0001", TOKEN_A, None, NOW)
    assert ledger.open_orders("b1") == ["b1-0000", "b1-0002", "b1-0003"]


def test_claim(ledger: Ledger) -> None:
    """A claimed order is being worked on, with its token and what was on it."""
    create(ledger)
    record = ledger.claim("b1-0000", TOKEN_A, {"piv": {"9a": None}}, NOW)
    assert record == ledger.order("b1-0000") == ledger.order_of_token("b1", "10000001")
    assert record.state is OrderState.WORKING
    assert record.token == TOKEN_A
    assert record.inventory == {"piv": {"9a": None}}
    assert record.changed == NOW
    assert ledger.claim("b1-0000", TOKEN_A, {}, NOW).inventory == {}


def test_claim_refusals(ledger: Ledger) -> None:
    """Neither an order nor a token is bound twice; a release frees both."""
    create(ledger)
    create(ledger, batch="b2", roster="r2")
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    with pytest.raises(WrongToken, match="bound to token 10000001"):
        ledger.claim("b1-0000", TOKEN_B, None, NOW)
    for other in ("b1-0001", "b2-0000"):
        with pytest.raises(WrongToken, match="bound to order b1-0000"):
            ledger.claim(other, TOKEN_A, None, NOW)
    with pytest.raises(StationError, match="no order"):
        ledger.claim("b1-9999", TOKEN_B, None, NOW)
    ledger.fail("b1-0000", "pulled", NOW)
    with pytest.raises(WrongToken):
        ledger.claim("b1-0001", TOKEN_A, None, NOW)
    ledger.release("b1-0000")
    assert ledger.order("b1-0000") == OrderRecord(
        order=orders_of("b1", 1, 1)[0],
        row=0,
        state=OrderState.OPEN,
        station="station-a",
        changed=NOW,
    )
    ledger.claim("b2-0000", TOKEN_A, None, NOW)
    ledger.claim("b1-0000", TOKEN_B, None, NOW)


def test_promises_from_threads(ledger: Ledger) -> None:
    """Sixteen readers claim and promise at once: each its own order, and no two the same."""
    create(ledger, holders=8)
    refused: list[str] = []
    start = threading.Barrier(32)

    def work(number: int) -> None:
        order, token = f"b1-{number // 2:04}", dataclasses.replace(TOKEN_A, serial=str(number))
        sealed = [envelope(order, token, Purpose.HELP_DESK)]
        start.wait()
        try:
            claim = Claim(token=token, inventory=None, at=NOW)
            ledger.promise(order, [(intent(order), sealed)], claim)
        except WrongToken:
            refused.append(order)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    orders = [order.id for order in orders_of("b1", 8, 2)]
    assert sorted(refused) == orders
    assert sorted(one.order for one in ledger.envelopes()) == orders


def journal_from_threads(ledger: Ledger, orders: list[str]) -> dict[str, str]:
    """Journal for all of them while the ledger is held, so that all wait; the errors, by order."""
    errors: dict[str, str] = {}

    def work(order: str, token: TokenId) -> None:
        try:
            ledger.journal(intent(order), [envelope(order, token, Purpose.HELP_DESK)])
        except StationError as error:
            errors[order] = error.message

    threads = []
    with ledger._database.write():
        for number, order in enumerate(orders):
            token = dataclasses.replace(TOKEN_A, serial=str(number))
            threads.append(threading.Thread(target=work, args=(order, token)))
            threads[-1].start()
        while ledger._database.together.waiting < len(orders):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    return errors


def claimed(ledger: Ledger, number: int) -> list[str]:
    """So many orders, each bound to a token of its own."""
    create(ledger, holders=number, kit=1)
    for order in range(number):
        token = dataclasses.replace(TOKEN_A, serial=str(order))
        ledger.claim(f"b1-{order:04}", token, None, NOW)
    return [f"b1-{order:04}" for order in range(number)]


def test_promises_that_wait_share_a_commit(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight readers behind one commit cost one more; the one that is refused keeps nobody back."""
    orders = claimed(ledger, 8)
    ledger.journal(intent(orders[3]))
    commits = []
    commit = DefaultDialect.do_commit

    def counted(dialect: DefaultDialect, connection: object) -> None:
        commits.append(connection)
        commit(dialect, connection)

    monkeypatch.setattr(DefaultDialect, "do_commit", counted)
    errors = journal_from_threads(ledger, orders)
    assert len(commits) == 2, "that which was waited for, and theirs"
    assert list(errors) == [orders[3]]
    assert "journalled already" in errors[orders[3]]
    assert sorted(e.order for e in ledger.envelopes()) == [o for o in orders if o != orders[3]]


def test_a_shared_commit_that_fails_fails_all(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told that a promise is durable when the commit was not."""
    orders = claimed(ledger, 4)

    def refused(dialect: DefaultDialect, connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT count(*) FROM intents").fetchone()[0]:
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(DefaultDialect, "do_commit", refused)
    errors = journal_from_threads(ledger, orders)
    monkeypatch.undo()
    assert sorted(errors) == orders
    assert all("disk I/O error" in message for message in errors.values())
    assert not ledger.envelopes()
    ledger.journal(intent(orders[0]))


def test_journal(ledger: Ledger) -> None:
    """An intent and its envelopes come back as they were, and only together."""
    create(ledger)
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    sealed = [envelope("b1-0000", TOKEN_A, p) for p in (Purpose.HELP_DESK, STATION)]
    ledger.journal(intent("b1-0000"), sealed)
    ledger.journal(intent("b1-0000", "piv/9a/key"))
    assert [i.step for i in ledger.intents("b1-0000")] == ["piv/puk", "piv/9a/key"]
    assert ledger.intents("b1-0000")[0] == intent("b1-0000")
    assert ledger.envelopes(token_label="10000001", order="b1-0000") == sealed
    assert ledger.envelopes(purpose=STATION) == sealed[1:]
    assert ledger.envelopes(state=EnvelopeState.ACTIVE) == []
    with pytest.raises(StationError, match="journalled already"):
        ledger.journal(intent("b1-0000"), [envelope("b1-0000", TOKEN_A, STATION, 2)])
    with pytest.raises(StationError, match="contradicts"):
        ledger.journal(intent("b1-0000", "other"), sealed)  # the same envelopes under another
    assert [i.step for i in ledger.intents("b1-0000")] == ["piv/puk", "piv/9a/key"]
    assert len(ledger.envelopes()) == 2


def test_journal_refusals(ledger: Ledger) -> None:
    """Nothing is journalled for an order that has no token, or with another's envelopes."""
    create(ledger)
    with pytest.raises(StationError, match="is open"):
        ledger.journal(intent("b1-0000"))
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    for wrong in (
        envelope("b1-0000", TOKEN_B, STATION),
        envelope("b1-0001", TOKEN_A, STATION),
        dataclasses.replace(envelope("b1-0000", TOKEN_A, STATION), sha256="00"),
    ):
        with pytest.raises(StationError, match="an envelope of piv/puk"):
            ledger.journal(intent("b1-0000"), [wrong])
    ledger.fail("b1-0000", "pulled", NOW)
    with pytest.raises(StationError, match="is failed"):
        ledger.journal(intent("b1-0000"))


def test_promises_come_with_their_claim(ledger: Ledger) -> None:
    """One transaction binds the order and stores all of its intents, or does nothing of it."""
    create(ledger)
    claim = Claim(token=TOKEN_A, inventory={}, at=NOW)
    sealed = [envelope("b1-0000", TOKEN_A, STATION)]
    both = [(intent("b1-0000"), sealed), (intent("b1-0000", "piv/9a/key"), [])]
    for wrong, reason in (
        ([*both, both[0]], "piv/puk, piv/9a/key, piv/puk generation 1 .* journalled already"),
        ([*both, (intent("b1-0001"), [])], "for another order"),
    ):
        with pytest.raises(StationError, match=reason):
            ledger.promise("b1-0000", wrong, claim)
        record = ledger.order("b1-0000")
        assert record is not None
        assert (record.state, record.token) == (OrderState.OPEN, None)
    ledger.promise("b1-0000", both, claim)
    assert [i.step for i in ledger.intents("b1-0000")] == ["piv/puk", "piv/9a/key"]
    assert ledger.envelopes() == sealed
    with pytest.raises(WrongToken, match="bound to token 10000001"):
        ledger.promise("b1-0000", [], dataclasses.replace(claim, token=TOKEN_B))


def test_another_token_begins_anew(ledger: Ledger) -> None:
    """After a release the next token has no intents; the first finds its own again."""
    create(ledger)
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    ledger.journal(intent("b1-0000"), [envelope("b1-0000", TOKEN_A, Purpose.HELP_DESK)])
    ledger.release("b1-0000")
    ledger.claim("b1-0000", TOKEN_B, None, NOW)
    assert ledger.intents("b1-0000") == []
    ledger.journal(intent("b1-0000"), [envelope("b1-0000", TOKEN_B, Purpose.HELP_DESK)])
    assert [e.token_label for e in ledger.envelopes()] == ["10000001", "10000002"]
    ledger.release("b1-0000")
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    assert [i.step for i in ledger.intents("b1-0000")] == ["piv/puk"]


def test_complete(ledger: Ledger, path: Path) -> None:
    """Issued: custodians' envelopes are active, the station's are gone, and once is enough."""
    create(ledger)
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    station = dataclasses.replace(
        envelope("b1-0000", TOKEN_A, STATION),
        blob=b"the station's copy",
        sha256=hashlib.sha256(b"the station's copy").hexdigest(),
    )
    ledger.journal(intent("b1-0000"), [envelope("b1-0000", TOKEN_A, Purpose.HELP_DESK), station])
    for _ in range(2):
        ledger.complete("b1-0000", 7, NOW)
        assert states(ledger) == [("help-desk", "active")]
    record = ledger.order("b1-0000")
    assert record is not None
    assert (record.state, record.entry_index) == (OrderState.ISSUED, 7)
    assert ledger.manifest_size() == 8
    assert ledger.last_issued_to("p0") == record
    assert ledger.last_issued_to("p1") is None
    for again in (
        lambda: ledger.complete("b1-0000", 8, NOW),
        lambda: ledger.release("b1-0000"),
        lambda: ledger.fail("b1-0000", "no", NOW),
    ):
        with pytest.raises(StationError, match="was issued to token 10000001, entry 7"):
            again()
    # by another token that says the same serial; the line goes on
    with pytest.raises(WrongToken, match="was issued to token 10000001, entry 7"):
        ledger.claim("b1-0000", TOKEN_A, None, NOW)
    with pytest.raises(StationError, match="bound to no token"):
        ledger.complete("b1-0001", 8, NOW)
    ledger.close()  # the last connection folds the log into the file
    assert b"the station's copy" not in path.read_bytes()


def test_manifest_size_is_per_station(ledger: Ledger, path: Path) -> None:
    """Stations that share a ledger have a manifest each."""
    assert ledger.manifest_size() == 0
    create(ledger)
    other = Ledger(sqlite_url(path), station="station-b")
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    other.claim("b1-0001", TOKEN_B, None, NOW)
    ledger.complete("b1-0000", 5, NOW)
    other.complete("b1-0001", 5, NOW)
    assert (ledger.manifest_size(), other.manifest_size()) == (6, 6)
    other.close()


def test_generations(ledger: Ledger) -> None:
    """The last generation becomes active, also over what an earlier order left in the token."""
    create(ledger)
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    for generation in (1, 2):
        sealed = envelope("b1-0000", TOKEN_A, Purpose.HELP_DESK, generation)
        ledger.journal(intent("b1-0000", generation=generation), [sealed])
    ledger.complete("b1-0000", 1, NOW)
    assert states(ledger) == [("help-desk", "superseded"), ("help-desk", "active")]
    ledger.claim("b1-0001", TOKEN_A, None, NOW)
    assert ledger.order_of_token(None, "10000001") == ledger.order("b1-0001")
    ledger.journal(intent("b1-0001"), [envelope("b1-0001", TOKEN_A, Purpose.HELP_DESK)])
    assert states(ledger)[1:] == [("help-desk", "active"), ("help-desk", "prepared")]
    ledger.complete("b1-0001", 2, NOW)
    assert states(ledger)[1:] == [("help-desk", "superseded"), ("help-desk", "active")]


def test_what_an_earlier_order_left_ends(ledger: Ledger) -> None:
    """Of whatever name, once a later order of that token is settled; other tokens keep theirs."""
    create(ledger)
    other = dataclasses.replace(envelope("b1-0000", TOKEN_A, Purpose.HELP_DESK), name="otp/1/seed")
    orders: list[tuple[str, TokenId, list[EnvelopeRecord]]] = [
        ("b1-0000", TOKEN_A, [envelope("b1-0000", TOKEN_A, Purpose.HELP_DESK), other]),
        ("b1-0002", TOKEN_B, [envelope("b1-0002", TOKEN_B, Purpose.HELP_DESK)]),
        ("b1-0001", TOKEN_A, [envelope("b1-0001", TOKEN_A, Purpose.HELP_DESK)]),
    ]
    for index, (order, token, sealed) in enumerate(orders):
        ledger.claim(order, token, None, NOW)
        ledger.journal(intent(order), sealed)
        ledger.complete(order, index, NOW)
    active = ledger.envelopes(state=EnvelopeState.ACTIVE)
    assert [(one.order, one.name) for one in active] == [
        ("b1-0002", "piv/puk"),
        ("b1-0001", "piv/puk"),
    ]
    ledger.complete("b1-0000", 0, NOW)  # once more: the order in force keeps what it has
    assert ledger.envelopes(state=EnvelopeState.ACTIVE) == active


CHILD = """
import dataclasses, hashlib, itertools, sys, pathlib
sys.path.insert(0, sys.argv[2])
from test_record_ledger import *
ledger = Ledger(sqlite_url(pathlib.Path(sys.argv[1])), station="station-a")
for number in itertools.count(len(ledger.intents("b1-0000"))):
    step = f"step/{number}"
    sealed = dataclasses.replace(envelope("b1-0000", TOKEN_A, STATION), name=step)
    ledger.journal(intent("b1-0000", step), [sealed])
    print(number, flush=True)
"""


def test_sigkill_loses_nothing(ledger: Ledger, path: Path) -> None:
    """Killed in the middle of journalling, again and again: what was acknowledged is there."""
    create(ledger)
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    ledger.close()
    chance = random.Random(2)
    acknowledged = -1
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, path, Path(__file__).parent], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline(), "the child did not begin"
        time.sleep(chance.random() * 0.05)
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate()
        lines = rest.decode().splitlines()
        after = Ledger(sqlite_url(path), station="station-a")
        kept = {i.step for i in after.intents("b1-0000")}
        sealed = {e.name for e in after.envelopes(order="b1-0000")}
        after.close()
        acknowledged = max([acknowledged, *map(int, lines)])
        assert kept >= {f"step/{n}" for n in range(acknowledged + 1)}
        assert kept == sealed
    assert acknowledged > 10


def test_later_schema(ledger: Ledger, path: Path) -> None:
    """A ledger that a later program made is refused."""
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99'")
    connection.close()
    with pytest.raises(StationError, match="schema 99"):
        Ledger(sqlite_url(path))


def test_no_ledger(path: Path) -> None:
    """A file that is something else, a folder, and a ledger in memory are refused."""
    path.parent.mkdir()
    path.write_bytes(b"hello, world" * 100)
    with pytest.raises(StationError, match="no ledger"):
        Ledger(sqlite_url(path))
    with pytest.raises(DurabilityError, match="cannot be opened"):
        Ledger(sqlite_url(path.parent))
    with pytest.raises(StationError, match="in memory"):
        Ledger("sqlite://")


def test_locked(ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program's long transaction is named as what it is."""
    monkeypatch.setattr("tokenprov.record.database._BUSY", 50)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StationBusy, match="in use by another program"):
        Ledger(sqlite_url(path))
    other.close()


def test_sql_of_postgresql() -> None:
    """Tables, indexes and queries compile for PostgreSQL, with the rows of a decision locked."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it bare
    for table in tables.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
    for table in tables.metadata.sorted_tables:
        for index in table.indexes:
            assert "CREATE INDEX" in str(CreateIndex(index).compile(dialect=dialect))
    unfinished = tables.one_unfinished_order_per_token.compile(dialect=dialect)
    assert "(token_label) WHERE state != 'issued'" in str(unfinished)
    assert "FOR UPDATE" in str(bindings.LOCKED_ORDER.compile(dialect=dialect))
    journal.INTENTS_OF.compile(dialect=dialect)


def test_last_issued_to(ledger: Ledger) -> None:
    """A holder's last token is found over all batches, by the manifest's order."""
    create(ledger)
    create(ledger, batch="b2", roster="r2")
    ledger.claim("b2-0000", TOKEN_A, None, NOW)
    ledger.complete("b2-0000", 3, NOW)
    ledger.claim("b1-0000", TOKEN_B, None, NOW)
    assert ledger.last_issued_to("p0") == ledger.order("b2-0000")
    ledger.complete("b1-0000", 4, NOW)
    assert ledger.last_issued_to("p0") == ledger.order("b1-0000")


def test_standing(ledger: Ledger) -> None:
    """A new token is on no list; each list says so of its own tokens alone."""
    create(ledger)
    nothing = dict.fromkeys(("never", "aside", "wipe", "order", "stock", "stocked"), False)
    assert dataclasses.asdict(ledger.standing("10000001")) == nothing
    ledger.stock.receive(["10000001"], "list.csv", "ada", NOW)
    ledger.claim("b1-0000", TOKEN_A, None, NOW)
    ledger.stock.forbid(["10000002"], "hers", "ada", NOW)
    wipe = WipeRecord(
        id="w1", token=TOKEN_B, reason="old", operator="ada", found={"used": []}, began=NOW
    )
    ledger.wipes.begin(wipe)
    mine, other = ledger.standing("10000001"), ledger.standing("10000002")
    assert dataclasses.asdict(mine) == nothing | {"order": True, "stock": True, "stocked": True}
    assert dataclasses.asdict(other) == nothing | {"never": True, "wipe": True, "stock": True}
    assert ledger.all_aside() == set()
    ledger.set_aside(
        AsideRecord(
            label="10000001",
            order="b1-0000",
            batch="b1",
            reason="bad",
            operator="ada",
            at=NOW,
            entry_index=4,
        )
    )
    ledger.wipes.finish("w1", 5)
    mine, other = ledger.standing("10000001"), ledger.standing("10000002")
    assert dataclasses.asdict(mine) == nothing | {"aside": True, "stock": True, "stocked": True}
    assert ledger.all_aside() == {"10000001"}
    assert dataclasses.asdict(other) == nothing | {"never": True, "stock": True}
