"""Rosters as people really save them: each is read to the same holders."""

from __future__ import annotations

import hashlib
import json
import resource
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenprov.model import Holder
from tokenprov.roster import load_roster, parse_roster
from tokenprov.roster.load import digest_of

TODAY = date(2026, 3, 2)
EXAMPLE = Path(__file__).parents[2] / "profiles" / "example-roster.csv"

PLAIN = (
    "id,name,email,upn,groups,last_day,Cost Center\n"
    "E1,Zoë Müller,zoe@example.test,zoe@corp.example.test,staff;sso,2031-12-31,077\n"
    'E2,"Lee, Ann ""Annie""",ann@example.test,,,,\n'
)
HOLDERS = (
    Holder(
        id="E1",
        name="Zoë Müller",
        email="zoe@example.test",
        upn="zoe@corp.example.test",
        groups=("staff", "sso"),
        last_day=date(2031, 12, 31),
        extra={"cost_center": "077"},
    ),
    Holder(id="E2", name='Lee, Ann "Annie"', email="ann@example.test"),
)
AS_JSON = json.dumps(
    [
        {
            "Employee ID": "E1",
            "displayName": "Zoë Müller",
            "mail": "zoe@example.test",
            "userPrincipalName": "zoe@corp.example.test",
            "groups": ["staff", "sso"],
            "last_day": "2031-12-31",
            "cost_center": "077",
        },
        {"id": "E2", "name": 'Lee, Ann "Annie"', "email": "ann@example.test", "upn": None},
    ],
    indent=1,
)
SEMICOLONS = PLAIN.replace("staff;sso", "staff|sso").replace(",", ";").replace("Lee;", "Lee,")
TABS = PLAIN.replace(",", "\t").replace("Lee\t", "Lee,")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to write the same two holders."""

    name: str
    data: bytes
    encoding: str = "UTF-8"


CASES = (
    Case(name="plain", data=PLAIN.encode()),
    Case(name="bom", data=PLAIN.encode("utf-8-sig"), encoding="UTF-8 with BOM"),
    Case(name="crlf", data=PLAIN.replace("\n", "\r\n").encode()),
    Case(name="cr", data=PLAIN.replace("\n", "\r").encode()),
    Case(name="no last newline", data=PLAIN.rstrip("\n").encode()),
    Case(name="semicolons", data=SEMICOLONS.encode()),
    Case(name="tabs", data=TABS.encode()),
    Case(name="sep hint", data=("sep=;\r\n" + SEMICOLONS).encode()),
    Case(
        name="unicode text",
        data=b"\xff\xfe" + TABS.replace("\n", "\r\n").encode("utf-16-le"),
        encoding="UTF-16-LE",
    ),
    Case(name="utf-16 be", data=b"\xfe\xff" + PLAIN.encode("utf-16-be"), encoding="UTF-16-BE"),
    Case(
        name="names of columns",
        data=PLAIN.replace(
            "id,name,email,upn,groups,last_day",
            " Employee-ID , Display Name,E-Mail,userPrincipalName,memberOf,Last Day",
        ).encode(),
    ),
    Case(name="blank lines", data=("\n" + PLAIN.replace("\nE2", "\n\n,,,,,,\nE2")).encode()),
    Case(name="trailing delimiters", data=PLAIN.replace("\n", ",,\n").encode()),
    Case(name="decomposed", data=PLAIN.replace("ë", "e\u0308").encode()),
    Case(name="spaces around", data=PLAIN.replace("Zoë Müller", "  Zoë Müller ").encode()),
    Case(name="json", data=AS_JSON.encode()),
    Case(name="json bom", data=AS_JSON.encode("utf-8-sig"), encoding="UTF-8 with BOM"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_read_to_the_same_holders(case: Case) -> None:
    """However the file was saved, the holders and the digest are the same."""
    roster = parse_roster(case.data, "roster", today=TODAY)
    assert roster.holders == HOLDERS
    assert roster.encoding == case.encoding
    expected = hashlib.sha256(rfc8785.dumps([holder.to_json() for holder in HOLDERS]))
    assert roster.digest == expected.hexdigest()


def test_lines_point_into_the_file() -> None:
    """The line kept for a holder is the line that an editor shows, blank ones counted."""
    csv = parse_roster(("\n" + PLAIN.replace("\nE2", "\n\nE2")).encode(), "r", today=TODAY)
    assert csv.lines == (3, 5)
    document = parse_roster(AS_JSON.encode(), "r", today=TODAY)
    assert [AS_JSON.split("\n")[line - 1].strip() for line in document.lines] == ["{", "{"]
    assert document.lines[0] == 2 < document.lines[1]


@pytest.mark.parametrize("changed", ["Zoe Müller", "zoë müller"])
def test_digest_follows_the_content(changed: str) -> None:
    """Another name gives another digest."""
    one = parse_roster(PLAIN.encode(), "r", today=TODAY)
    two = parse_roster(PLAIN.replace("Zoë Müller", changed).encode(), "r", today=TODAY)
    assert one.digest != two.digest


def test_last_day_today_is_not_past() -> None:
    """A holder still works on the last day."""
    roster = parse_roster(PLAIN.encode(), "r", today=date(2031, 12, 31))
    assert roster.holders[0].last_day == date(2031, 12, 31)


def test_example_roster_is_in_order() -> None:
    """The roster that the demo uses loads, with five holders and one who leaves."""
    roster = load_roster(EXAMPLE, today=TODAY)
    assert len(roster) == 5
    assert [holder.id for holder in roster.holders if holder.last_day] == ["X2001"]
    assert any(not holder.name.isascii() for holder in roster.holders)
    assert all(holder.upn and holder.groups for holder in roster.holders)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(categories=["Ll", "So", "Lo"]), min_size=3, max_size=4).filter(
            lambda name: name == name.casefold().strip()
        ),
        st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8),
        max_size=4,
    )
)
def test_digest_is_rfc_8785_for_any_text(extra: dict[str, str]) -> None:
    """The fast way to the digest writes what the RFC 8785 library writes, whatever the cells."""
    holders = [Holder(id="1", name="N", email="n@example.test", extra=extra)] * 300
    expected = hashlib.sha256(rfc8785.dumps([holder.to_json() for holder in holders])).hexdigest()
    assert digest_of(holders) == expected


def test_ten_thousand_rows() -> None:
    """Ten thousand rows are read within a second of processor time and little memory."""
    rows = "".join(
        f"E{n},Zoë Müller {n},z{n}@example.test,z{n}@corp.example.test,staff;sso,2031-12-31,7\n"
        for n in range(10_000)
    )
    data = (PLAIN.splitlines(keepends=True)[0] + rows).encode()
    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    roster = parse_roster(data, "r", today=TODAY)
    assert time.process_time() - before < 1.0  # seconds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 40_000  # KiB
    assert len(roster) == 10_000
    assert roster.lines[-1] == 10_001
