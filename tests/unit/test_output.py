"""Tables for people: whole on a pipe, and readable on a terminal of eighty columns."""

from __future__ import annotations

import re

import pytest

from tokenprov.cli.output import facts_line, narrowed, print_table

_COLUMNS = ("#", "time", "serial", "holder", "approved", "operator")
_ROWS = [
    ("0", "2026-11-24T23:08:52Z", "30000001 (virtual)", "Ada Okonkwo", "", "root"),
    ("1", "2026-11-24T23:09:10Z", "30000002 (virtual)", "Bartholomew Featherstone", "", "root"),
]


def _terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in capsys.readouterr().out.splitlines()]


def test_a_pipe_gets_every_row_on_one_line_however_wide(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is folded, cut or left out where a program may read it."""
    print_table(("a", "b"), [("x" * 300, "y y"), ("", "")])
    head, row, _ = capsys.readouterr().out.splitlines()
    assert head.split() == ["a", "b"]
    assert row.rstrip() == f"{'x' * 300}  y y"


def test_a_table_without_rows_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    """So that a person sees what there is none of."""
    print_table(_COLUMNS, [])
    assert capsys.readouterr().out.split() == list(_COLUMNS)


def test_a_narrow_terminal_gets_whole_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines end at spaces, times between day and hour, and a column that says nothing is gone."""
    _terminal(monkeypatch, 62)
    print_table(_COLUMNS, _ROWS)
    lines = _lines(capsys)
    assert max(map(len, lines)) <= 62
    words = {word for line in lines for word in line.split()}
    assert {"30000001", "(virtual)", "2026-11-24", "23:08:52Z", "Featherstone"} <= words
    assert "approved" not in words


def test_a_wide_terminal_gets_every_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty ones, too: that nobody approved is worth reading."""
    _terminal(monkeypatch, 200)
    print_table(_COLUMNS, _ROWS)
    lines = _lines(capsys)
    assert lines[0].split() == list(_COLUMNS)
    assert len(lines) == 1 + len(_ROWS)


def test_the_widest_column_gives_way_first_and_words_are_broken_last() -> None:
    """Widths in cells, those of words before those of lines."""
    columns = [("id", "12345678"), ("text", "four words of text")]
    assert narrowed(columns, 40) == [8, 18]
    assert narrowed(columns, 20) == [8, 10]
    assert narrowed(columns, 12) == [5, 5]


def test_facts_are_words() -> None:
    """What a person reads has no Python in it."""
    facts = {"on": True, "off": False, "key": None, "of": 3, "one": 1, "list": ["a", "b"], "no": []}
    assert facts_line(facts) == "on yes, off no, key none, of 3, one 1, list a; b, no none"
