"""Which tokens the line takes: those in stock, and none of those never to be touched."""

from __future__ import annotations

from tests.stations import Station
from tests.token_under_test import LOOKS, TokenUnderTest, Wire


def test_a_token_that_is_not_in_stock(station: Station, token: TokenUnderTest, wire: Wire) -> None:
    """Nothing but its serial is read; once its packing list is imported it is issued."""
    packing = station.home.with_name("packing.csv")
    packing.write_text("article,Serial Number\nYubiKey 5,999\n")
    assert station.tell("stock", "import", packing).code == 0
    before = token.state()
    wire.clear()
    said = station.tell(*station.batch())
    assert said.code == 8
    assert "is not in stock" in said.only("TokenPassedOver")["reason"]
    assert set(wire.instructions) <= LOOKS
    assert token.state() == before
    assert said.document["counts"]["open"] == 1

    packing.write_text(f"article,Serial Number\nYubiKey 5,999\nYubiKey 5,{token.serial}\n")
    told = station.tell("stock", "import", packing, "--json").document
    assert told == {"serials": 2, "new": 1}
    assert station.tell(*station.batch()).code == 0
    listed = {one["serial"]: one for one in station.tell("stock", "list", "--json").document}
    assert listed["999"]["state"] is None
    assert listed[token.serial]["state"] == "issued"
    assert listed[token.serial]["note"] == "packing.csv"


def test_a_token_that_is_never_to_be_touched(
    station: Station, token: TokenUnderTest, wire: Wire
) -> None:
    """It is refused with the reason, in stock or not, and also where its wipe was asked for."""
    serials = station.home.with_name("serials")
    serials.write_text(f"{token.serial}\n")
    assert station.tell("stock", "import", serials).code == 0
    never = ("stock", "never", token.serial, "--reason", "the director's own")
    assert station.tell(*never).code == 0
    before = token.state()
    wire.clear()
    asked = (*station.batch(), "--wipe", token.serial, "--reason", "it is in the box")
    said = station.tell(*asked)
    assert said.code == 8
    assert "never to be touched: the director's own" in said.only("TokenPassedOver")["reason"]
    assert set(wire.instructions) <= LOOKS
    assert token.state() == before
    assert station.tell("stock", "list").out.count(token.serial) == 2


def test_who_made_a_card_is_not_guessed(station: Station) -> None:
    """A number is a YubiKey's; of a card's GUID the entry does not say whose it is."""
    serials = station.home.with_name("serials")
    card = "0123456789abcdef0123456789abcdef"
    serials.write_text(f"1001\n{card}\n")
    assert station.tell("stock", "import", serials).code == 0
    makers = {one["token"]["serial"]: one["token"]["maker"] for one in station.entries("received")}
    assert makers == {"1001": "yubico", card: "unknown"}


def test_a_list_with_a_fault_is_not_imported(station: Station) -> None:
    """Exit code 2 with the line, and nothing of the file is in stock."""
    serials = station.home.with_name("serials")
    serials.write_text("12345678\n12345678\n")
    said = station.tell("stock", "import", serials)
    assert said.code == 2
    assert "line 2: serial 12345678 stands in line 1" in said.err
    assert station.tell("stock", "list", "--json").document == []


def test_what_arrived_is_on_the_record(station: Station, token: TokenUnderTest) -> None:
    """One entry a token, with the list's name; a second import and a holder's token add none."""
    assert station.tell(*station.batch()).code == 0
    serials = station.home.with_name("delivery-17.csv")
    serials.write_text(f"serial\n998-999\n{token.serial}\n")
    assert station.tell("stock", "import", serials).code == 0
    assert station.tell("stock", "import", serials).code == 0
    arrived = station.entries("received")
    assert [one["token"]["serial"] for one in arrived] == ["998", "999"]
    assert {one["source"] for one in arrived} == {"delivery-17.csv"}
    assert station.tell("stock", "list", "--json").document[2]["serial"] == token.serial
    assert station.tell("manifest", "history", "999", "--json").code == 0
    assert station.tell("manifest", "verify").code == 0
