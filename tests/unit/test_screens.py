"""The live screen of the line on a terminal of eighty columns."""

from __future__ import annotations

import io

from rich.console import Console

from tokenprov import events
from tokenprov.station.board import Board
from tokenprov.station.screens import table_screen

_READER = "Yubico YubiKey OTP+FIDO+CCID {:02} 00"
_HOLDER = "Bartholomew Maximilian Featherstone-Haugh"


def _drawn(width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    with table_screen(console) as listen:
        listen(events.BatchStarted(batch="b", profile="standard-employee", total=2, open=2))
        for number in (0, 15):
            reader, label = _READER.format(number), f"3000{number:04}"
            listen(events.ReaderSeen(reader=reader))
            listen(events.TokenSeen(reader=reader, label=label, model="YubiKey", firmware="5.7.4"))
            listen(
                events.OrderStarted(
                    reader=reader,
                    label=label,
                    order="b-1",
                    holder=_HOLDER,
                    position=0,
                    resumed=False,
                )
            )
            listen(
                events.StepStarted(
                    reader=reader, step="piv/9a/key", title="key", number=12, total=13
                )
            )
            listen(
                events.TouchWanted(
                    reader=reader, label=label, holder=_HOLDER, reason="a credential"
                )
            )
    return out.getvalue()


def test_reader_and_serial_are_whole_on_eighty_columns() -> None:
    """They say which token is meant; the holder's name is cut before them."""
    drawn = _drawn(80)
    for whole in ("OTP+FIDO+CCID", "OTP+FIDO+CCID 15 00", "30000000", "30000015", "12/13"):
        assert whole in drawn
    assert "touch it now" in drawn


def test_a_wide_terminal_has_a_bar() -> None:
    """Where there is room, progress is drawn."""
    drawn = _drawn(160)
    assert "━" in drawn
    assert "12/13" not in drawn


def test_the_seconds_left_for_a_reinsertion_are_counted_down() -> None:
    """For the one reader whose token is awaited, whatever happens in the others."""
    now = [100.0]
    board = Board(clock=lambda: now[0])
    wanted, other = _READER.format(0), _READER.format(1)
    board(
        events.ReinsertWanted(
            reader=wanted, label="30000001", holder=_HOLDER, reason="reset FIDO2", seconds=60
        )
    )
    for seconds, left in ((0.0, 60), (12.0, 48), (100.0, 0)):
        now[0] = 100.0 + seconds
        board(events.TokenSeen(reader=other, label="30000002", model="YubiKey", firmware="5.7.4"))
        said = board.told(board.rows[wanted])
        assert said == f"{left} s: take 30000001 out and put it in again: reset FIDO2"
    board(events.ReinsertDone(reader=wanted))
    assert " s: " not in board.told(board.rows[wanted])
