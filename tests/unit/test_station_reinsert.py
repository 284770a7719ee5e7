"""A token that is to be put in again, as the screens show it."""

from __future__ import annotations

import io
import json

from tokenprov import events
from tokenprov.prompts import StationOperator
from tokenprov.station.board import Board, Light
from tokenprov.station.screens import json_screen, line_screen

WANTED = ("reader 1", "28557046", "reset FIDO2", 60.0)


def test_the_board_asks_for_that_token_alone() -> None:
    """While it is waited for its line says which token; other lines do not change."""
    board = Board(clock=lambda: 0.0)
    board(events.ReaderSeen(reader="reader 1"))
    board(events.ReaderSeen(reader="reader 2"))
    with StationOperator(board).reinsert(*WANTED):
        assert board.rows["reader 1"].light is Light.REINSERT
        assert board.rows["reader 1"].text == "take 28557046 out and put it in again: reset FIDO2"
        assert board.rows["reader 2"].light is Light.EMPTY
    assert board.rows["reader 1"].light is Light.WORKING


def test_lines_and_json_say_it() -> None:
    """A person reads serial, reader, holder and seconds; a program gets both events."""
    lines, documents = io.StringIO(), io.StringIO()
    with line_screen(lines) as listen, StationOperator(listen).reinsert(*WANTED):
        pass
    with (
        line_screen(lines) as listen,
        StationOperator(listen, lambda: "Ada Okonkwo").touch("reader 2", "28557047", "sign"),
    ):
        pass
    assert lines.getvalue() == (
        "28557046 in reader 1: take it out and put it in again within 60 s (reset FIDO2)\n"
        "28557047 in reader 2 for Ada Okonkwo: touch it now (sign)\n"
    )
    with json_screen(documents) as listen, StationOperator(listen).reinsert(*WANTED):
        pass
    told = [json.loads(line) for line in documents.getvalue().splitlines()]
    assert [one["event"] for one in told] == ["ReinsertWanted", "ReinsertDone"]
    assert (told[0]["label"], told[0]["seconds"]) == ("28557046", 60.0)
