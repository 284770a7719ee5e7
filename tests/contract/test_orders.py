"""Orders and tokens that do not come out even, and tokens that are spoken for elsewhere.

On one reader, by what any token shows: nothing here needs the simulator.
"""

from __future__ import annotations

import shutil

from tests.stations import Station
from tests.token_under_test import Ins, TokenUnderTest, Wire

LOOKS = {Ins.SELECT, Ins.READ_DEVICE_CONFIG}


def test_more_orders_than_tokens(station: Station, token: TokenUnderTest) -> None:
    """Exit code 8; `batch status` shows what is issued and what is open, also as JSON."""
    said = station.tell(*station.batch(holders=2, kit=2))
    assert said.code == 8
    assert said.only("BatchPaused")["left"] == 3
    assert said.document["counts"] == {"open": 3, "working": 0, "issued": 1, "failed": 0}
    batch = said.document["batch"]
    shown = station.tell("batch", "status", batch, "--json").document
    assert shown == said.document
    assert [order["serial"] for order in shown["orders"]] == [token.serial, None, None, None]
    assert [order["state"] for order in shown["orders"]] == ["issued", *["open"] * 3]
    text = station.tell("batch", "status", batch)
    assert text.code == 0
    assert f"batch {batch}: 1 of 4 issued" in text.out
    (listed,) = station.tell("batch", "status", "--json").document
    assert listed["counts"]["open"] == 3


def test_a_token_that_was_issued_in_another_batch(
    station: Station, token: TokenUnderTest, wire: Wire
) -> None:
    """It is only recognised: whose it is stands in the message, and the new orders stay open."""
    assert station.tell(*station.batch()).code == 0
    before = token.state()
    wire.clear()
    said = station.tell(*station.batch(holders=2, name="second"))
    assert said.code == 8
    assert "was issued to Ada Okonkwo" in said.only("TokenReady")["reason"]
    assert set(wire.instructions) <= LOOKS
    assert token.state() == before
    assert said.document["counts"]["open"] == 2
    assert len(station.entries()) == 1


def test_a_token_of_another_station_is_used(
    station: Station, token: TokenUnderTest, wire: Wire
) -> None:
    """A station that never saw the token finds it used, as anybody's, and leaves it."""
    fresh = Station(home=station.home.with_name("fresh"))
    shutil.copytree(station.home, fresh.home)
    assert station.tell(*station.batch()).code == 0
    before = token.state()
    wire.clear()
    said = fresh.tell(*fresh.batch())
    assert said.code == 8
    assert "is in use" in said.only("OrderFailed")["reason"]
    assert wire.writes == []
    assert token.state() == before


def test_no_such_serial(station: Station, token: TokenUnderTest, wire: Wire) -> None:
    """Asked for a serial that is not there, commands say so and write to no other token."""
    for command in (
        ("token", "show", "99999999"),
        ("plan", station.roster(), "--profile", "standard-employee", "--serial", "99999999"),
    ):
        said = station.tell(*command)
        assert said.code == 4
        assert "no such token is plugged in" in said.err
    assert set(wire.instructions) <= LOOKS
    assert wire.writes == []
    unknown = station.tell("escrow", "open", "99999999", *_break_glass(station))
    assert unknown.code == 7
    assert "nothing is sealed to break-glass for token 99999999" in unknown.err


def _break_glass(station: Station) -> tuple[str, ...]:
    key = station.home / "custodians" / "private" / "break-glass.pem"
    return ("--purpose", "break-glass", "--key", str(key), "--reason", "a test")
