"""A blocked PIN gets another one by the PUK out of escrow, sealed before and on the record."""

from __future__ import annotations

from pathlib import Path

import pytest
from yubikit.core import InvalidPinError
from yubikit.piv import PivSession

from tests.contract.conftest import MODELS, fresh_token
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest, Wire
from tokenprov.model import Purpose
from tokenprov.sim.bench import VirtualBench

WHY = ("--reason", "locked out after the holidays", "--operator", "olga")
WRONG = "00000000"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """What every model here can be issued with."""
    path = tmp_path / "desk.toml"
    path.write_text(
        'name = "desk"\n[piv]\npin = { retries = 5 }\npuk = { retries = 5 }\n',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def issued(station: Station, token: TokenUnderTest, profile: Path) -> str:
    """A token of Ada's; gives its serial."""
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.out + said.err
    return token.serial


def key_of(station: Station, purpose: Purpose) -> Path:
    """A custodian's private key."""
    return station.home / "custodians" / "private" / f"{purpose}.pem"


def unblock(station: Station, subject: str, *options: str) -> Said:
    """By the help desk."""
    key = key_of(station, Purpose.HELP_DESK)
    return station.tell("unblock", subject, "--key", key, *WHY, *options, "--json")


def block(token: TokenUnderTest) -> None:
    """Somebody does not remember the PIN."""
    with token.connection() as to:
        piv = PivSession(to)
        for _ in range(5):
            with pytest.raises(InvalidPinError):
                piv.verify_pin(WRONG)


@pytest.mark.parametrize("token", MODELS, indirect=True)
def test_a_blocked_holder_gets_another_pin(
    station: Station, token: TokenUnderTest, issued: str
) -> None:
    """The token takes the PIN that the help desk opens then, and no longer the first one."""
    first = station.secrets(issued)
    block(token)
    said = unblock(station, "E1")
    assert said.code == 0, said.err
    now = station.secrets(issued)
    assert now["piv/pin"] != first["piv/pin"]
    assert now["piv/puk"] == first["piv/puk"]
    with token.connection() as to:
        piv = PivSession(to)
        with pytest.raises(InvalidPinError):
            piv.verify_pin(first["piv/pin"])
        piv.verify_pin(now["piv/pin"])
    (entry,) = station.entries("unblocked")
    assert (entry["operator"], entry["reason"]) == ("olga", WHY[1])
    assert {(one["name"], one["generation"]) for one in entry["secrets"]} == {("piv/pin", 2)}
    assert {one["purpose"] for one in entry["secrets"]} == {"help-desk", "break-glass"}
    (opened,) = [one for one in station.entries("opened") if one["form"] == "token"]
    assert [one["name"] for one in opened["secrets"]] == ["piv/puk"]
    assert not list((station.home / "open").glob("*.key"))
    assert station.tell("manifest", "verify").code == 0
    audit = station.tell("token", "audit", issued)
    assert audit.code == 0, audit.out


def test_it_is_done_a_second_time(station: Station, token: TokenUnderTest, issued: str) -> None:
    """Each time is a generation of its own, and only the last one is in force."""
    for generation in (2, 3):
        block(token)
        assert unblock(station, issued).code == 0
        listed = station.tell("escrow", "list", issued, "--purpose", "help-desk", "--json").document
        (pin,) = [one for one in listed if one["name"] == "piv/pin"]
        assert (pin["generation"], pin["state"]) == (generation, "active")


def test_a_key_that_opens_no_puk_changes_nothing(
    station: Station, token: TokenUnderTest, issued: str, wire: Wire
) -> None:
    """Another custodian's key is refused; nothing is opened, recorded or written."""
    wire.clear()
    key = key_of(station, Purpose.TOKEN_ADMINISTRATION)
    said = station.tell("unblock", issued, "--key", key, *WHY)
    assert said.code == 7
    assert "Give the key of break-glass or help-desk" in said.err
    assert wire.writes == []
    assert station.entries("opened") == []
    assert unblock(station, issued).code == 0


def test_a_dry_run_opens_and_writes_nothing(
    station: Station, token: TokenUnderTest, issued: str, wire: Wire
) -> None:
    """It says that the PIN would be written."""
    wire.clear()
    said = unblock(station, issued, "--dry-run")
    assert said.code == 0, said.err
    assert [(one["step"], one["verdict"]) for one in said.document["steps"]] == [
        ("piv/pin", "write")
    ]
    assert wire.writes == []
    assert station.entries("opened") == []


def test_the_wrong_token_in_the_reader_is_left_alone(
    station: Station, issued: str, one_reader: VirtualBench, wire: Wire
) -> None:
    """The one that is meant is asked for, and the other one hears nothing."""
    other = fresh_token(one_reader, "yubikey-5.7.4")
    before = other.state()
    wire.clear()
    said = unblock(station, issued)
    assert said.code == 4
    assert "no such token is plugged in" in said.err
    assert wire.writes == []
    assert other.state() == before


def test_a_blocked_puk_is_told_and_nothing_is_promised(
    station: Station, token: TokenUnderTest, issued: str
) -> None:
    """Without its PUK the token is replaced: nothing stands in the way of that."""
    with token.connection() as to:
        piv = PivSession(to)
        for _ in range(5):
            with pytest.raises(InvalidPinError):
                piv.change_puk(WRONG, WRONG)
    said = unblock(station, issued)
    assert said.code == 4
    assert "its PUK is blocked" in said.err
    assert station.entries("unblocked") == []
    assert station.tell("revoke", issued, "--reason", "damaged").code == 0
