"""A token is given back, or taken out of use: its binding ends, then it is emptied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yubikit.yubiotp import SLOT, YubiOtpSession

from tests.contract.conftest import fresh_token
from tests.contract.test_standing import certificate_of, passkey, revoked
from tests.contract.test_unblock import key_of
from tests.contract.test_wipe import Hands
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.model import Purpose
from tokenprov.sim.bench import VirtualBench

WHY = ("--reason", "moved to another department", "--operator", "olga")
LOCKED = """name = "locked"
extends = "standard-employee"
[device]
lock-code = true
"""


@pytest.fixture
def issued(station: Station, token: TokenUnderTest, tmp_path: Path) -> str:
    """A token of Ada's behind every lock there is; gives its serial."""
    profile = tmp_path / "locked.toml"
    profile.write_text(LOCKED, encoding="utf-8")
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.out + said.err
    return token.serial


def told(station: Station, bench: VirtualBench, *command: str | Path) -> Said:
    """The command, with somebody at the reader."""
    return station.tell(*command, "--json", listener=Hands(bench))


def listed(station: Station, *options: str) -> list[dict[str, Any]]:
    """What `escrow list` says."""
    found: list[dict[str, Any]] = station.tell("escrow", "list", "--json", *options).document
    return found


def said_active(station: Station) -> dict[str, set[str]]:
    """The names of what tokens hold, by order."""
    orders: dict[str, set[str]] = {}
    for one in listed(station):
        orders.setdefault(one["order"], set()).add(one["name"])
    return orders


def test_a_token_that_is_given_back_goes_to_the_next_holder(
    station: Station, token: TokenUnderTest, issued: str, one_reader: VirtualBench
) -> None:
    """Nothing of the first holder works or is left, and the same token is issued to another."""
    certificate = certificate_of(station, issued)
    refused = told(station, one_reader, "return", issued, *WHY)
    assert refused.code == 7
    assert "--key" in refused.err
    assert passkey(station, issued) is not None, "it ended before the key was asked for"
    assert revoked(station) == {}
    key = key_of(station, Purpose.TOKEN_ADMINISTRATION)
    said = told(station, one_reader, "return", issued, "--key", key, *WHY)
    assert said.code == 0, said.err
    assert said.document["state"] == "stock"
    planned = station.tell("plan", station.roster(), "--profile", "otp-server", "--serial", issued)
    assert planned.code == 0, planned.err
    assert revoked(station) == {certificate: "cessationOfOperation"}
    assert passkey(station, issued) is None
    with token.connection() as to:
        state = YubiOtpSession(to).get_config_state()
        assert not state.is_configured(SLOT.ONE)
        assert not state.is_configured(SLOT.TWO)
    kinds = [entry["kind"] for entry in station.tell("manifest", "show", "--json").document]
    assert kinds == ["station", "issued", "revoked", "opened", "wiped"]

    assert said_active(station) == {}
    (order,) = {one["order"] for one in listed(station, "--all")}
    puk = ("escrow", "open", issued, "--purpose", "help-desk", "--name", "piv/puk", *WHY)
    desk = ("--key", key_of(station, Purpose.HELP_DESK), "--json")
    gone = station.tell(*puk, *desk)
    assert gone.code == 7
    assert "What the token holds no more: --all" in gone.err
    assert [one["state"] for one in station.tell(*puk, *desk, "--all").document] == ["superseded"]

    again = station.tell(*station.batch(holders=2, name="next", profile="otp-server"))
    assert again.document["counts"]["issued"] == 1, again.err
    assert [entry["token"]["serial"] for entry in station.entries()] == [issued, issued]
    assert station.tell("manifest", "verify").code == 0
    assert order not in said_active(station)
    assert said_active(station).keys() == {station.entries()[-1]["order"]}
    life = station.tell("revoke", issued, "--reason", "lost", "--dry-run", "--json")
    assert life.code == 0, life.err


def test_dry_runs_show_the_whole(station: Station, issued: str) -> None:
    """What ends with which reason, what is opened and emptied, and where the token is then."""
    said = station.tell("return", issued, *WHY, "--dry-run", "--json")
    (certificate,) = [one for one in said.document["steps"] if one["step"] == "piv/9a/certificate"]
    assert (certificate["where"], certificate["reason"]) == ("local", "cessationOfOperation")
    assert [one["title"] for one in said.document["acts"]] == [
        f"revoke the binding of token {issued}",
        "open its access codes and lock code, by token administration's key",
        "reset every application, and read back that it is nobody's",
        "put it into stock",
    ]
    destroyed = ("--means", "destroyed", "--witness", "walter")
    people = station.tell("retire", issued, *destroyed, *WHY, "--dry-run").out
    assert "retire it for good, destroyed, before walter" in people
    assert "reset" not in people
    assert [entry["kind"] for entry in station.tell("manifest", "show", "--json").document] == [
        "station",
        "issued",
    ]


def test_a_token_is_retired_before_a_witness(
    station: Station, token: TokenUnderTest, issued: str, one_reader: VirtualBench
) -> None:
    """Destroyed, it is never taken again; nobody is their own witness."""
    alone = ("retire", issued, "--means", "destroyed", "--witness", "olga", *WHY)
    assert station.tell(*alone).code == 2
    one_reader.control.remove(int(issued))
    said = station.tell(
        *("retire", issued, "--means", "destroyed", "--witness", "walter", *WHY, "--json")
    )
    assert said.code == 0, said.err
    (entry,) = station.entries("retired")
    assert (entry["witness"], entry["means"]) == ("walter", "destroyed")
    assert [one["kind"] for one in station.entries("revoked")] == ["revoked"]
    assert station.tell("manifest", "verify").code == 0
    again = station.tell(*alone[:-1], "olaf")
    assert again.code == 4
    assert "is retired since entry" in again.err


def test_a_token_is_emptied_and_retired(
    station: Station, token: TokenUnderTest, issued: str, one_reader: VirtualBench
) -> None:
    """It reads back as nobody's before it is recorded as retired."""
    key = key_of(station, Purpose.BREAK_GLASS)
    said = told(station, one_reader, "retire", issued, "--witness", "walter", "--key", key, *WHY)
    assert said.code == 0, said.err
    kinds = [entry["kind"] for entry in station.tell("manifest", "show", "--json").document]
    assert kinds[2:] == ["revoked", "opened", "wiped", "retired"]
    shown = station.tell("token", "show", issued, "--json").document
    assert shown["used"] == []


def test_the_wrong_token_is_not_emptied(
    station: Station, issued: str, one_reader: VirtualBench
) -> None:
    """With another token in the reader nothing begins: the binding is in force."""
    other = fresh_token(one_reader, "yubikey-5.7.4")
    before = other.state()
    said = told(station, one_reader, "return", issued, *WHY)
    assert said.code == 4
    assert other.state() == before
    assert station.entries("revoked") == []


def test_a_virtual_token_is_one_whatever_it_attested(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench, tmp_path: Path
) -> None:
    """Issued without an attestation its entry says so all the same, and it can be given back."""
    profile = tmp_path / "slot.toml"
    profile.write_text('name = "slot"\n[otp.slot2]\nkind = "hmac-sha1"\n', encoding="utf-8")
    assert station.tell(*station.batch(profile=profile)).code == 0
    assert station.entry_of(token.serial)["token"]["virtual"] is True
    key = key_of(station, Purpose.TOKEN_ADMINISTRATION)
    said = told(station, one_reader, "return", token.serial, "--key", key, *WHY)
    assert said.code == 0, said.err
    assert said.document["state"] == "stock"


def test_what_it_held_for_the_holder_before_is_not_in_force(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench, tmp_path: Path
) -> None:
    """Issued again with less, its secrets are made anew and the earlier holder's are left out."""
    more, less = tmp_path / "more.toml", tmp_path / "less.toml"
    less.write_text('name = "less"\n[piv]\n', encoding="utf-8")
    more.write_text('name = "more"\n[piv]\n[hsmauth]\n', encoding="utf-8")
    assert station.tell(*station.batch(profile=more, name="first")).code == 0
    key = key_of(station, Purpose.BREAK_GLASS)
    assert told(station, one_reader, "return", token.serial, "--key", key, *WHY).code == 0
    assert station.tell(*station.batch(profile=less, name="second")).code == 0
    said = station.tell("rotate", token.serial, "--key", key, *WHY, "--json")
    assert said.code == 0, said.err
    (made,) = said.document
    names = {one["name"] for one in made["secrets"]}
    assert names == {"piv/puk", "piv/management-key"}
