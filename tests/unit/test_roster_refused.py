"""Rosters that are wrong: each refusal names line and column and says how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from tokenprov.errors import RosterError
from tokenprov.roster import load_roster, parse_roster
from tokenprov.roster.problems import LIMIT

TODAY = date(2026, 3, 2)
HEAD = "id,name,email,upn,last_day\n"
GOOD = "E1,Ann Lee,ann@example.test,ann@corp.test,2031-01-01\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A bad file, the line and column at fault, and words of message and remedy."""

    name: str
    data: str | bytes
    line: int = 0
    field: str = ""
    says: str
    remedy: str


def row(
    id: str = "E2",
    name: str = "Bo",
    email: str = "bo@example.test",
    upn: str = "",
    last_day: str = "",
) -> str:
    """A good roster of one row and then this one, on line 3."""
    return f"{HEAD}{GOOD}{id},{name},{email},{upn},{last_day}\n"


FILES = (
    Case(name="empty", data=b"", says="empty", remedy="id,name,email"),
    Case(name="only a BOM", data=b"\xef\xbb\xbf\r\n", says="empty", remedy="id,name,email"),
    Case(name="header only", data=HEAD, says="no holder", remedy="one line for each"),
    Case(name="workbook", data=b"PK\x03\x04\x14\x00", says="workbook", remedy="CSV UTF-8"),
    Case(
        name="windows-1252",
        data=(HEAD + GOOD + "E2,Jürgen,j@example.test,,\n").encode("cp1252"),
        line=3,
        says="byte 5 of the line is 0xfc, which is not UTF-8; in Windows-1252 it would be 'ü'",
        remedy="iconv -f WINDOWS-1252 -t UTF-8",
    ),
    Case(
        name="utf-16 without a mark",
        data=(HEAD + GOOD).encode("utf-16-le"),
        says="UTF-16",
        remedy="UTF-8",
    ),
    Case(
        name="utf-16 cut short",
        data=b"\xff\xfe" + (HEAD + GOOD).encode("utf-16-le") + b"\x41",
        line=3,
        says="no character",
        remedy="export the roster again",
    ),
    Case(name="utf-32", data=(HEAD + GOOD).encode("utf-32"), says="UTF-32", remedy="UTF-8"),
    Case(name="NUL", data=row(name="Bo\0"), line=3, says="NUL", remedy="export"),
)
HEADERS = (
    Case(
        name="missing column",
        data="id,name,telephone\nE1,Ann,1\n",
        line=1,
        field="email",
        says="'email' is missing; found: 'id', 'name', 'telephone'",
        remedy="Add a column named email",
    ),
    Case(
        name="missing, with a near one",
        data="id,name,emial\nE1,Ann,a@example.test\n",
        line=1,
        field="email",
        says="found: 'id', 'name', 'emial'",
        remedy="Rename 'emial' to email",
    ),
    Case(
        name="no header",
        data="E1;Ann;a@example.test\n",
        line=1,
        field="id",
        says="found: 'E1', 'Ann', 'a@example.test'",
        remedy="first line must name the columns",
    ),
    Case(
        name="twice",
        data="id,name,mail,E-Mail\nE1,Ann,a@example.test,b@example.test\n",
        line=1,
        field="email",
        says="'mail' and 'E-Mail' are the same one",
        remedy="Delete or rename",
    ),
    Case(
        name="optional one misspelt",
        data="id,name,email,last_dya\nE1,Ann,a@example.test,2027-01-01\n",
        line=1,
        field="last_dya",
        says="looks like 'last_day' misspelt",
        remedy="Rename it to last_day",
    ),
    Case(
        name="secret",
        data="id,name,email,Initial PIN\nE1,Ann,a@example.test,123456\n",
        line=1,
        field="initial_pin",
        says="looks like a secret",
        remedy="drawn at the station",
    ),
    Case(
        name="unnamed",
        data="id,,name,email\nE1,x,Ann,a@example.test\n",
        line=1,
        says="column 2 has no name",
        remedy="delete the column",
    ),
    Case(
        name="invisible in a name",
        data="id,name,email,de\x1bpt\nE1,Ann,a@example.test,x\n",
        line=1,
        field="dept",
        says=r"column 4 has a name with an invisible character: 'de\x1bpt'",
        remedy="Write its name anew",
    ),
    Case(
        name="quote left open in the header",
        data='id,name,"email\nE1,Ann,a@example.test\n',
        line=1,
        says="never closed",
        remedy="Close it",
    ),
)
ROWS = (
    Case(
        name="two holders with one id",
        data=row(id="E1"),
        line=3,
        field="id",
        says="'E1' stands on line 2",
        remedy="one row",
    ),
    Case(
        name="ids that differ in case",
        data=row(id="e1"),
        line=3,
        field="id",
        says="differs from 'E1' only in case, stands on line 2",
        remedy="one row",
    ),
    Case(
        name="same mail",
        data=row(email="Ann@Example.test"),
        line=3,
        field="email",
        says="stands on line 2",
        remedy="of their own",
    ),
    Case(
        name="same upn",
        data=row(upn="ann@corp.test"),
        line=3,
        field="upn",
        says="stands on line 2",
        remedy="of their own",
    ),
    Case(
        name="empty cell", data=row(name="  "), line=3, field="name", says="empty", remedy="Fill in"
    ),
    Case(
        name="too many cells",
        data=row(name="Lee, Bo"),
        line=3,
        says="has 6 cells, the header has 5",
        remedy="in quotes",
    ),
    Case(
        name="too many cells, the last one empty",
        data="id,name,email,town,\nE1,Ann,a@example.test,Lee, on Sea,\n",
        line=2,
        says="has 6 cells, the header has 4",
        remedy="in quotes",
    ),
    Case(
        name="too few cells",
        data=HEAD + GOOD + "E2,Bo\n",
        line=3,
        says="has 2 cells, the header has 5",
        remedy="a comma for each",
    ),
    Case(
        name="quote inside",
        data=row(name='Robert "Bo" Lee'),
        line=3,
        says="cell 2 holds a quote",
        remedy='write a quote inside it twice: ""',
    ),
    Case(
        name="text after a quote",
        data=row(name='"Bo" Lee'),
        line=3,
        says="text follows the closing quote of cell 2",
        remedy="written twice",
    ),
    Case(
        name="quote left open",
        data=row(name='"Bo'),
        line=3,
        says="never closed",
        remedy="Close it",
    ),
    Case(
        name="line break in a cell",
        data=HEAD + 'E2,"Bo\nLee",bo@example.test,,\n' + GOOD,
        line=2,
        says="ends on line 3: it holds a line break",
        remedy="a row is one line",
    ),
    Case(
        name="name too long",
        data=row(name="x" * 65),
        line=3,
        field="name",
        says="65 characters are more than the 64",
        remedy="Shorten",
    ),
    Case(
        name="id too long", data=row(id="7" * 65), line=3, field="id", says="64", remedy="Shorten"
    ),
    Case(
        name="control character",
        data=row(name="Bo\x1b[2J"),
        line=3,
        field="name",
        says=r"'Bo\x1b[2J' holds U+001B",
        remedy="Delete it",
    ),
    Case(
        name="direction override",
        data=row(name="Bo\u202eeeL"),
        line=3,
        field="name",
        says="U+202E, right-to-left override",
        remedy="Delete it",
    ),
    Case(
        name="lost character",
        data=row(name="J\ufffdrgen"),
        line=3,
        field="name",
        says="U+FFFD",
        remedy="lost in an export",
    ),
    Case(
        name="encoded twice",
        data=row(name="Jürgen".encode().decode("cp1252")),
        line=3,
        field="name",
        says="is 'Jürgen' encoded twice",
        remedy="Export the roster again",
    ),
)
VALUES = (
    *(
        Case(name=name, data=row(email=email), line=3, field="email", says=email, remedy=remedy)
        for name, email, remedy in (
            ("no at", "bo.example.test", "name@domain"),
            ("two at", "bo@x@example.test", "name@domain"),
            ("no dot", "bo@example", "name@domain"),
            ("double dot", "bo..lee@example.test", "name@domain"),
            ("dash", "bo@-example.test", "name@domain"),
            ("angle brackets", "Bo <bo@example.test>", "without a name"),
            ("two addresses", "bo@example.test;lee@example.test", "one bare address"),
            ("not ascii", "bo@exämple.test", "xn--"),
        )
    ),
    Case(
        name="mail too long",
        data=row(email=f"{'x' * 65}@example.test"),
        line=3,
        field="email",
        says="not a mail address",
        remedy="name@domain",
    ),
    Case(
        name="upn without suffix",
        data=row(upn="CORP\\bo"),
        line=3,
        field="upn",
        says="not a user principal name",
        remedy="user@suffix",
    ),
    Case(
        name="pointed date",
        data=row(last_day="1.12.2031"),
        line=3,
        field="last_day",
        says="'1.12.2031' is not an ISO 8601 date",
        remedy="Write 2031-12-01, if the day stands first",
    ),
    Case(
        name="slashed date",
        data=row(last_day="01/12/2031"),
        line=3,
        field="last_day",
        says="not an ISO 8601 date",
        remedy="year-month-day",
    ),
    Case(
        name="compact date",
        data=row(last_day="20311231"),
        line=3,
        field="last_day",
        says="not an ISO 8601 date",
        remedy="year-month-day",
    ),
    Case(
        name="no such day",
        data=row(last_day="2031-02-30"),
        line=3,
        field="last_day",
        says="is no day",
        remedy="that exists",
    ),
    Case(
        name="last day past",
        data=row(last_day="2026-03-01"),
        line=3,
        field="last_day",
        says="2026-03-01 is past (today is 2026-03-02)",
        remedy="take the holder off",
    ),
)
JSONS = (
    Case(
        name="json object",
        data='{"id": "1"}',
        line=1,
        says="one object",
        remedy="between [ and ]",
    ),
    Case(name="json syntax", data='[\n{"id": "1",}\n]', line=2, says="not JSON", remedy="Mend"),
    Case(
        name="json number",
        data='[\n{"id": 17, "name": "A", "email": "a@example.test"}]',
        line=2,
        field="id",
        says="not a string",
        remedy='in quotes, with the zeros that it began with: "17"',
    ),
    Case(
        name="json double",
        data='[\n{"id": "1", "id": "2", "name": "A", "email": "a@example.test"}]',
        line=2,
        field="id",
        says="the same thing in one object",
        remedy="Delete one",
    ),
    Case(
        name="json missing",
        data='[\n{"id": "1", "email": "a@example.test"}]',
        line=2,
        field="name",
        says="empty",
        remedy="Fill in the name",
    ),
    Case(name="json string in the array", data='["a"]', line=1, says="not an object", remedy="{…}"),
    Case(
        name="json no comma",
        data='[{"id":"1","name":"A","email":"a@example.test"}\n\n{}]',
        line=1,
        says="neither a comma",
        remedy="comma between",
    ),
    Case(
        name="json cut short",
        data='[{"id":"1","name":"A","email":"a@example.test"},\n',
        line=2,
        says="not JSON",
        remedy="Mend",
    ),
    Case(
        name="json tail",
        data='[{"id":"1","name":"A","email":"a@example.test"}]\n x',
        line=2,
        says="text follows",
        remedy="Delete",
    ),
    Case(name="json nested", data="[" * 50_000, line=1, says="nested", remedy="flat"),
    Case(
        name="json half a character",
        data='[{"id":"1","name":"\\ud800","email":"a@example.test"}]',
        line=1,
        field="name",
        says="U+D800",
        remedy="Delete it",
    ),
    Case(
        name="json member without a name",
        data='[{"id":"1","name":"A","email":"a@example.test","":"x"}]',
        line=1,
        says="column 4 has no name",
        remedy="delete the column",
    ),
    Case(
        name="json half a character in a name",
        data='[{"id":"1","name":"A","email":"a@example.test","o\\ud800":"x"}]',
        line=1,
        field="o",
        says="column 4 has a name with an invisible character",
        remedy="Write its name anew",
    ),
    Case(name="json nobody", data="[]", says="no holder", remedy="one line for each"),
)


@pytest.mark.parametrize(
    "case", FILES + HEADERS + ROWS + VALUES + JSONS, ids=lambda case: case.name
)
def test_refused_with_line_and_remedy(case: Case) -> None:
    """The refusal has the line and column at fault, says what is wrong and how to mend it."""
    data = case.data if isinstance(case.data, bytes) else case.data.encode()
    with pytest.raises(RosterError) as caught:
        parse_roster(data, "staff.csv", today=TODAY)
    found = [
        problem
        for problem in caught.value.problems
        if (problem.line, problem.field) == (case.line, case.field)
    ]
    assert found, caught.value
    assert case.says in found[0].message
    assert case.remedy in found[0].remedy
    assert "staff.csv" in str(caught.value)
    assert case.remedy in str(caught.value)


def test_every_problem_at_once() -> None:
    """A file with several mistakes is read to its end, and the problems come in its order."""
    text = HEAD + "E1,,ann@example.test,,\n" + GOOD + "E1,Bo,bo,,x\n" + "E2,Cy\n"
    with pytest.raises(RosterError) as caught:
        parse_roster(text.encode(), "staff.csv", today=TODAY)
    places = [(problem.line, problem.field) for problem in caught.value.problems]
    assert places == [
        (2, "name"),
        (3, "id"),
        (3, "email"),
        (4, "email"),
        (4, "last_day"),
        (4, "id"),
        (5, ""),
    ]
    assert "7 problems" in str(caught.value)
    assert "no token was touched" in caught.value.remedy


def test_long_lists_are_cut() -> None:
    """Of very many problems the first are shown and the rest counted."""
    text = HEAD + "".join(f"E{n},Bo,nowhere{n},,\n" for n in range(500))
    with pytest.raises(RosterError) as caught:
        parse_roster(text.encode(), "staff.csv", today=TODAY)
    assert len(caught.value.problems) == LIMIT
    assert f"… and {500 - LIMIT} more" in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, is an error that names it."""
    with pytest.raises(RosterError, match=r"gone\.csv.*No such file"):
        load_roster(tmp_path / "gone.csv", today=TODAY)
    with pytest.raises(RosterError, match="directory"):
        load_roster(tmp_path, today=TODAY)


def test_an_id_that_a_spreadsheet_rounded_is_refused() -> None:
    """1.00123E+11 was somebody's number, and is now the number of several."""
    for rounded in ("1.00123E+11", "1E+12", "4e+15"):
        with pytest.raises(RosterError, match="rounded") as refused:
            parse_roster(row(id=rounded).encode(), "roster.csv", today=TODAY)
        assert "format text" in str(refused.value)
