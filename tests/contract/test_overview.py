"""What needs somebody soon: no spare, a last day, a certificate, a batch, a command to finish."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.contract.test_commands import faults
from tests.stations import HEADER, STANDARD, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.home import Home
from tokenprov.model import TokenId
from tokenprov.record.aside import AsideRecord


def seen(station: Station, *options: str) -> Any:
    """What it tells a program."""
    said = station.tell("overview", *options, "--json")
    assert said.code == 0, said.err
    assert faults(said.document, "overview") == []
    return said.document


def test_a_station_that_issued_nothing_has_nothing_to_tell(station: Station) -> None:
    """And counts no stock where none is kept."""
    told = seen(station)
    assert (told["tokens"], told["stock"]) == ({}, None)
    assert not any(told[name] for name in ("withoutSpare", "leaving", "certificates", "batches"))
    assert "none was issued" in station.tell("overview").out


def test_what_needs_somebody_soon(station: Station, token: TokenUnderTest) -> None:
    """One token of a holder who leaves in ten days; then a batch is begun, and the token lost."""
    last_day = (datetime.now(UTC) + timedelta(days=10)).date()
    roster = station.home.with_name("leaver.csv")
    holder = "E1,Ada Okonkwo,e1@example.test,e1@corp.example.test"
    roster.write_text(f"{HEADER},last_day\n{holder},{last_day}\n")
    packing = station.home.with_name("packing")
    packing.write_text(f"{token.serial}\n998\n999\n")
    assert station.tell("stock", "import", packing).code == 0
    said = station.tell("batch", "run", roster, "--profile", STANDARD, "--json")
    assert said.code == 0, said.out + said.err

    told = seen(station)
    assert (told["tokens"], told["stock"]) == ({"held": 1}, 2)
    mine = {"holder": "E1", "name": "Ada Okonkwo", "serials": [token.serial]}
    assert told["withoutSpare"] == [mine]
    assert told["leaving"] == [{**mine, "lastDay": str(last_day)}]
    (certificate,) = told["certificates"]
    assert (certificate["serial"], certificate["step"]) == (token.serial, "piv/9a/certificate")
    near = seen(station, "--within", "5")
    assert near["leaving"] == near["certificates"] == []
    assert told["batches"] == told["unfinished"] == []

    assert station.tell("stock", "never", "999", "--reason", "the director's own").code == 0
    more = station.roster(2, "more")
    begun_later = station.tell("batch", "new", more, "--profile", STANDARD, "--json")
    lost = ("replace", token.serial, "--reason", "lost", "--later")
    assert station.tell(*lost).code == 8
    told = seen(station)
    assert told["stock"] == 1
    assert [(one["left"], one["failed"]) for one in told["batches"]] == [(2, 0)]
    (begun,) = told["unfinished"]
    assert (begun["serial"], begun["command"]) == (token.serial, "replace")

    shown = station.tell("overview").out
    for text in ("Begun and not finished", "Batches that are not done", token.serial):
        assert text in shown
    another = station.tell("batch", "new", more, "--profile", STANDARD, "--kit", "2").err
    assert another.count("has open orders") == 1, another  # a replacement is not one to close
    assert f"batch close {begun_later.document['batch']} " in another


def test_a_token_that_was_set_aside_is_no_stock(station: Station) -> None:
    """It came with a list and has no order any more, and is not taken again."""
    packing = station.home.with_name("packing")
    packing.write_text("998\n999\n")
    assert station.tell("stock", "import", packing).code == 0
    made = station.tell("batch", "new", station.roster(), "--profile", STANDARD, "--json")
    ledger, batch = Home.open(station.home).ledger, made.document["batch"]
    (order,) = ledger.orders(batch)
    spoiled = TokenId(maker="yubico", model="YubiKey 5 NFC", firmware="5.7.4", serial="998")
    now = datetime.now(UTC)
    ledger.claim(order.order.id, spoiled, None, now)
    ledger.set_aside(
        AsideRecord(
            label="998",
            order=order.order.id,
            batch=batch,
            reason="bad",
            operator="ada",
            at=now,
            entry_index=1,
        )
    )
    assert seen(station)["stock"] == 1


def test_a_suspended_token_is_nobodys_spare(station: Station, token: TokenUnderTest) -> None:
    """Its holder has none that is accepted."""
    assert station.tell(*station.batch()).code == 0
    assert station.tell("suspend", token.serial, "--reason", "left in a hotel").code == 0
    told = seen(station)
    assert told["tokens"] == {"suspended": 1}
    assert [one["serials"] for one in told["withoutSpare"]] == [[]]
