"""A profile for Windows logon is checked for what Windows needs, before a token is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest

from tokenprov.errors import ProfileError, RosterError
from tokenprov.profile import check_roster, parse_profile
from tokenprov.roster import parse_roster

LOGON = """name = "test"
[piv]
[[piv.keys]]
slot = "9a"
algorithm = "rsa2048"
pin-policy = "once"
[piv.keys.certificate]
upn = true
sid = "required"
usages = ["client-auth", "smartcard-logon"]
"""
DAY = date(2026, 3, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A change to a profile that logs on, and the refusal with its line."""

    name: str
    old: str
    new: str
    line: int
    key: str
    says: str


CASES = (
    Case(
        name="no UPN",
        old="upn = true",
        new="upn = false",
        line=8,
        key="piv.keys[0].certificate.upn",
        says="finds the account by the UPN",
    ),
    Case(
        name="algorithm",
        old="rsa2048",
        new="ed25519",
        line=5,
        key="piv.keys[0].algorithm",
        says="RSA and NIST curves",
    ),
    Case(
        name="no CHUID",
        old="[piv]",
        new="[piv]\nchuid = false",
        line=3,
        key="piv.chuid",
        says="lacks a CHUID",
    ),
    Case(
        name="no CCC",
        old="[piv]",
        new="[piv]\nccc = false",
        line=3,
        key="piv.ccc",
        says="lacks a CCC",
    ),
    Case(
        name="no PIN",
        old='"once"',
        new='"never"',
        line=6,
        key="piv.keys[0].pin-policy",
        says="whoever finds the token could log on",
    ),
    Case(
        name="the key for doors",
        old='"9a"',
        new='"9e"',
        line=4,
        key="piv.keys[0].slot",
        says="9e is for doors",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_when_it_is_read(case: Case) -> None:
    """Each thing that would keep people from logging on is told with its line and a remedy."""
    assert LOGON.count(case.old) == 1
    with pytest.raises(ProfileError) as caught:
        parse_profile(LOGON.replace(case.old, case.new).encode(), "my.toml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (case.line, case.key)
    assert case.says in problem.message
    assert problem.remedy


def test_a_profile_that_logs_on_to_nothing_is_free() -> None:
    """Without smartcard-logon none of this is asked; a PUK is set for every token whatever."""
    free = LOGON.replace(', "smartcard-logon"', "").replace("upn = true", "upn = false")
    made = parse_profile(free.replace('"once"', '"never"').encode(), "my.toml")
    assert made.piv is not None
    assert made.piv.puk.length == 8


@pytest.mark.parametrize("column", ["sid", "upn"])
def test_the_roster_has_what_names_the_account(column: str) -> None:
    """A holder without UPN, or without the identifier that is required, is told by line."""
    profile = parse_profile(LOGON.encode(), "my.toml")
    row = {"id": "1", "name": "Ada", "email": "a@x.test", "upn": "a@x.test", "sid": "S-1-5-21-1"}
    good = f"{','.join(row)}\n{','.join(row.values())}\n"
    check_roster(profile, parse_roster(good.encode(), "r", today=DAY))
    row = {**row, "id": "2", "email": "b@x.test", "upn": "b@x.test", "sid": "S-1-5-21-2"}
    bad = f"{good}{','.join({**row, column: ''}.values())}\n"
    with pytest.raises(RosterError, match=rf"line 3, {column}: the cell is empty"):
        check_roster(profile, parse_roster(bad.encode(), "r", today=DAY))


def test_a_last_day_can_be_demanded() -> None:
    """A profile for people who leave refuses a holder who has no last day, by line."""
    text = b'name = "a"\nlast-day = "required"\n[fido2]\n'
    profile = parse_profile(text, "my.toml")
    assert profile.to_json()["last-day"] == "required"
    roster = b"id,name,email,last_day\n1,Ada,a@x.test,2031-06-30\n2,Bo,b@x.test,\n"
    with pytest.raises(RosterError, match="line 3, last_day"):
        check_roster(profile, parse_roster(roster, "r", today=DAY))
    check_roster(profile, parse_roster(roster[: roster.index(b"2,Bo")], "r", today=DAY))
    free = parse_profile(b'name = "a"\n[fido2]\n', "my.toml")
    assert "last-day" not in free.to_json()
    check_roster(free, parse_roster(roster, "r", today=DAY))
