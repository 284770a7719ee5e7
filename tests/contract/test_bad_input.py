"""Rosters and profiles that are wrong, through the command line: no token is touched for them.

Every fault that the parsers know has its test with them (tests/unit); here it is what a person
gets to see of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stations import STANDARD, Station
from tests.token_under_test import TokenUnderTest, Wire

ROOT = Path(__file__).resolve().parents[2]
GOOD = "id,name,email,upn\nE1,Ann Lee,ann@example.test,ann@corp.example.test\n"
PROFILE = (ROOT / "profiles" / f"{STANDARD}.toml").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A roster and a profile of which one is wrong; the place and the remedy that are told."""

    name: str
    roster: str | bytes = GOOD
    old: str = ""  # what is replaced in the standard profile
    new: str = ""
    where: str
    remedy: str


BAD = (
    Bad(
        name="missing column",
        roster="id,name\nE1,Ann\n",
        where="line 1, email",
        remedy="Add a column named email",
    ),
    Bad(
        name="one id twice",
        roster=GOOD + "E1,Bo,bo@example.test,bo@corp.example.test\n",
        where="line 3, id",
        remedy="an id of their own",
    ),
    Bad(
        name="wrong encoding",
        roster=(GOOD + "E2,Jürgen,j@example.test,\n").encode("cp1252"),
        where="line 3",
        remedy="Save it as UTF-8",
    ),
    Bad(name="empty file", roster="", where="roster.csv", remedy="Write a first line id,name"),
    Bad(
        name="several faults",
        roster=GOOD + "E1,,nonsense,\n",
        where="line 3, email",
        remedy="no token was touched",
    ),
    Bad(
        name="no UPN for a profile that needs it",
        roster="id,name,email\nE1,Ann Lee,ann@example.test\n",
        where="upn",
        remedy="Add the column",
    ),
    Bad(
        name="misspelt key",
        old="management-key =",
        new="managment-key =",
        where="piv.managment-key",
        remedy="Did you mean 'management-key'?",
    ),
    Bad(
        name="weak PIN",
        old="pin = { length = 8, retries = 8 }",
        new="pin = { length = 4, retries = 8 }",
        where="piv.pin.length",
        remedy="Write length = 8.",
    ),
    Bad(name="no TOML", old="chuid = true", new="chuid = ", where="line 17", remedy="Mend it"),
)


@pytest.mark.parametrize("command", ["batch", "plan"])
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_bad_input_is_refused_before_any_token_is_touched(
    station: Station, token: TokenUnderTest, bad: Bad, command: str, wire: Wire
) -> None:
    """Exit code 2, place and remedy, no trace, no batch, and not one command to the token."""
    roster = station.home.with_name("roster.csv")
    roster.write_bytes(bad.roster if isinstance(bad.roster, bytes) else bad.roster.encode())
    profile = station.home.with_name("own.toml")
    assert bad.old in PROFILE
    profile.write_text(PROFILE.replace(bad.old, bad.new) if bad.old else PROFILE, encoding="utf-8")
    wire.clear()
    words = ("batch", "run") if command == "batch" else ("plan",)
    said = station.tell(*words, roster, "--profile", profile)
    assert said.code == 2, said
    assert bad.where in said.err
    assert bad.remedy in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert wire.commands == []
    assert station.tell("batch", "status", "--json").document == []


IMPOSSIBLE = pytest.mark.parametrize(
    ("token", "old", "new", "key"),
    [
        ("yubikey-4.3.7", "", "", "fido2"),
        ("yubikey-5.4.3", '"eccp256"', '"rsa4096"', "piv.keys[0].algorithm"),
        ("yubikey-5.2.7", 'algorithm = "auto"', 'algorithm = "aes256"', "piv.management-key"),
        ("yubikey-5.4.3", '"if-supported"', '"required"', "fido2.pin.force-change"),
    ],
    indirect=["token"],
)


@IMPOSSIBLE
def test_what_the_firmware_cannot_do_is_said_before_a_write(
    station: Station, token: TokenUnderTest, old: str, new: str, key: str, wire: Wire
) -> None:
    """The dry run ends with code 2, naming the key; the batch passes the token over with it."""
    profile = station.home.with_name("own.toml")
    assert old in PROFILE
    profile.write_text(PROFILE.replace(old, new) if old else PROFILE, encoding="utf-8")
    before = token.state()
    wire.clear()
    said = station.tell("plan", station.roster(), "--profile", profile)
    assert said.code == 2, said
    assert key in said.err
    ran = station.tell(*station.batch(profile=profile))
    assert ran.code == 8
    passed = ran.only("TokenPassedOver")
    assert key in passed["reason"]
    assert passed["remedy"]
    assert wire.writes == []
    assert token.state() == before


def test_a_spreadsheets_roster_is_read(station: Station, token: TokenUnderTest) -> None:
    """BOM, CRLF and semicolons, as a spreadsheet writes them, are no fault."""
    roster = station.home.with_name("roster.csv")
    text = "\ufeff" + GOOD.replace(",", ";").replace("\n", "\r\n")
    roster.write_bytes(text.encode())
    said = station.tell("batch", "run", roster, "--profile", STANDARD, "--json")
    assert said.code == 0, said.err
    assert said.document["orders"][0]["holder"]["name"] == "Ann Lee"


def test_ten_thousand_rows(station: Station, token: TokenUnderTest) -> None:
    """A large roster is a batch like any other: one token is issued, the rest stays open."""
    said = station.tell(*station.batch(holders=10_000))
    assert said.code == 8
    assert said.document["counts"]["open"] == 9_999
    assert said.document["orders"][0]["serial"] == token.serial
    assert len(said.document["orders"]) == 10_000
