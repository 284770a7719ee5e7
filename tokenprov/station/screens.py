"""The screens: a live table on a terminal, plain lines elsewhere, JSON lines for programs.

They draw on standard error (JSON on standard output), so that a command's data stays alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tokenprov import events
from tokenprov.events import Event, Listener
from tokenprov.station.board import Board, Light

_STYLES = {
    Light.EMPTY: "dim",
    Light.WORKING: "cyan",
    Light.TOUCH: "bold black on yellow",
    Light.REINSERT: "bold black on yellow",
    Light.READY: "bold green",
    Light.STOPPED: "bold red",
}
_ABOVE = (  # told above the table, where they stay to be read
    events.OrderFailed,
    events.TokenPassedOver,
    events.TokenGivenUp,
    events.ServiceLost,
    events.Interrupted,
)
REFRESH = 8  # a second
_ROOM_FOR_BARS = 120  # cells of a terminal; below, steps are counted instead


@contextmanager
def table_screen(console: Console) -> Iterator[Listener]:
    """One line a reader, redrawn in place; errors scroll above it."""
    board = Board(clock=time.monotonic)
    lock = threading.Lock()

    def draw() -> Group:
        with lock:
            return Group(_table(board, console.width), _totals(board))

    with Live(console=console, refresh_per_second=REFRESH, get_renderable=draw) as live:

        def listen(event: Event) -> None:
            with lock:
                board(event)
            if isinstance(event, _ABOVE):
                live.console.print(Text(_line(event), style="red"))

        yield listen


@contextmanager
def line_screen(stream: TextIO) -> Iterator[Listener]:
    """A line an event that matters to a reader of the log; steps are left out."""
    lock = threading.Lock()

    def listen(event: Event) -> None:
        text = _line(event)
        if text:
            with lock:
                stream.write(text + "\n")
                stream.flush()

    yield listen


@contextmanager
def json_screen(stream: TextIO) -> Iterator[Listener]:
    """Every event as one JSON object a line: {"event": "StepStarted", …}."""
    lock = threading.Lock()

    def listen(event: Event) -> None:
        document = {"event": type(event).__name__, **asdict(event)}
        with lock:
            stream.write(json.dumps(document, ensure_ascii=False) + "\n")
            stream.flush()

    yield listen


def _table(board: Board, width: int) -> Table:
    """A line a reader. Reader and serial are never cut: they say which token is meant."""
    table = Table(box=None, pad_edge=False, expand=True)
    bars = width >= _ROOM_FOR_BARS
    table.add_column("reader", no_wrap=True, overflow="fold")
    table.add_column("token", no_wrap=True, overflow="fold")
    table.add_column("holder", no_wrap=True, overflow="ellipsis", ratio=4)
    table.add_column("progress" if bars else "step", no_wrap=True, ratio=3 if bars else None)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=6)
    for row in sorted(board.rows.values(), key=lambda row: row.reader):
        bar = (
            ProgressBar(total=row.steps, completed=row.step) if bars else f"{row.step}/{row.steps}"
        )
        table.add_row(
            _short(row.reader),
            row.label,
            f"{row.holder} ({kit_name(row.position)})" if row.holder else "",
            bar if row.steps else "",
            Text(board.told(row), style=_STYLES[row.light]),
        )
    return table


def _totals(board: Board) -> Text:
    left = board.minutes_left
    parts = [f"{board.profile}: {board.issued} of {board.total} issued"]
    if board.failed:
        parts.append(f"{board.failed} stopped")
    if board.issued_now:
        parts.append(f"{board.per_minute:.0f} a minute")
    if board.note:
        parts.append(board.note)
    if left:
        parts.append(f"about {left:.0f} min left" if left >= 1 else "less than a minute left")
    return Text(" · ".join(parts), style="bold")


def _short(reader: str) -> str:
    """A reader's name without what all readers share."""
    return reader.removeprefix("Yubico YubiKey ").replace(" 00 00", "")


def kit_name(position: int) -> str:
    """What a person calls a kit position."""
    return "primary" if position == 0 else f"spare {position}"


def _asked(event: events.TouchWanted | events.ReinsertWanted) -> str:
    """Which token in which reader a person is asked about, and whose it is."""
    whose = f" for {event.holder}" if event.holder else ""
    return f"{event.label} in {_short(event.reader)}{whose}"


_LINES: dict[type[Event], Callable[..., str]] = {
    events.BatchStarted: lambda e: f"batch {e.batch}: {e.open} of {e.total} orders open",
    events.OrderStarted: lambda e: (
        f"{e.label}: {'goes on with' if e.resumed else 'begins'} {e.order} for {e.holder}"
        f" ({kit_name(e.position)}) in {_short(e.reader)}"
    ),
    events.TouchWanted: lambda e: f"{_asked(e)}: touch it now ({e.reason})",
    events.ReinsertWanted: lambda e: (
        f"{_asked(e)}: take it out and put it in again within {e.seconds:.0f} s ({e.reason})"
    ),
    events.WipeStarted: lambda e: f"{e.label}: is being wiped: {'; '.join(e.used)}",
    events.TokenWiped: lambda e: f"{e.label}: wiped, entry {e.entry}",
    events.TokenIssued: lambda e: (
        f"{e.label}: issued to {e.holder} ({kit_name(e.position)}) in {e.seconds:.1f} s"
    ),
    events.TokenPassedOver: lambda e: f"{e.label}: passed over: {e.reason}\n  {e.remedy}",
    events.TokenGivenUp: lambda e: f"{e.label}: given up: {e.reason}\n  {e.remedy}",
    events.OrderFailed: lambda e: f"{e.label}: stopped: {e.reason}\n  {e.remedy}",
    events.OrderWaits: lambda e: f"{e.label}: waits: {e.reason}\n  {e.remedy}",
    events.HolderNamed: lambda e: f"the next tokens are for {e.holder}: {e.orders}",
    events.ScanIgnored: lambda e: f"what was scanned is passed over: {e.reason}",
    events.KeyboardFree: lambda e: (
        f"{e.keyboard} is not kept from typing: {e.reason}\n"
        "  tokenprov doctor says what mends it; until then touch no key that is not asked for"
    ),
    events.ServiceLost: lambda e: f"the PC/SC service is gone ({e.reason}); try {e.attempt}",
    events.ReaderHeld: lambda e: (
        f"{_short(e.reader)} is held by {', '.join(e.holders) or 'another program'}: waiting for it"
    ),
    events.TokenReady: lambda e: f"{e.reason}: take it out",
    events.Interrupted: lambda e: (
        f"it ends when the tokens in hand are done ({e.in_hand}); {e.left} orders are left;"
        " a second interrupt ends it at once"
    ),
    events.BatchPaused: lambda e: f"{e.left} orders are left and no reader has a token for them",
}


def _line(event: Event) -> str:
    return _LINES[type(event)](event) if type(event) in _LINES else ""
