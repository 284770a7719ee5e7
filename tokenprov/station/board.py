"""The state of the production line as the events tell it, one row a reader; no drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tokenprov import events
from tokenprov.events import Event


class Light(StrEnum):
    """What the operator does about a reader."""

    EMPTY = "empty"  # insert a token
    WORKING = "working"  # wait
    TOUCH = "touch"  # touch it now
    REINSERT = "reinsert"  # take it out and put it in again, now
    READY = "ready"  # take it out, it is issued
    STOPPED = "stopped"  # take it out and read why


@dataclass(slots=True, kw_only=True)
class Row:
    """One reader."""

    reader: str
    light: Light = Light.EMPTY
    label: str = ""
    holder: str = ""
    position: int = 0
    step: int = 0
    steps: int = 0
    text: str = ""
    until: float = 0.0  # by the board's clock: when the token has to be back, with REINSERT


@dataclass(slots=True, kw_only=True)
class Board:
    """All readers, and the counts of the batch."""

    clock: Callable[[], float]
    batch: str = ""
    profile: str = ""
    total: int = 0
    issued: int = 0  # of the batch, also by earlier runs
    failed: int = 0
    note: str = ""  # of the badge that was scanned last, or a key that types
    rows: dict[str, Row] = field(default_factory=dict)
    issued_now: int = 0
    started: float = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case events.BatchStarted():
                self.batch, self.profile, self.total = event.batch, event.profile, event.total
                self.issued = event.total - event.open
                self.started = self.clock()
            case events.ReaderSeen():
                self.rows[event.reader] = Row(reader=event.reader)
            case events.ReaderGone():
                self.rows.pop(event.reader, None)
            case events.HolderNamed():
                self.note = f"next: {event.holder}"
            case events.ScanIgnored():
                self.note = f"not a badge: {event.reason}"
            case events.KeyboardFree():
                self.note = f"touch no key that is not asked for: {event.keyboard} types"
            case events.ServiceLost() | events.Interrupted() | events.BatchPaused():
                pass
            case _:
                self._row(event, self.rows.setdefault(event.reader, Row(reader=event.reader)))

    def _row(self, event: Event, row: Row) -> None:
        match event:
            case events.TokenSeen():
                row.label, row.light, row.text = event.label, Light.WORKING, event.model
                row.holder, row.step, row.steps = "", 0, 0  # those of the token before
            case events.OrderStarted():
                row.holder, row.position = event.holder, event.position
                row.text = "goes on" if event.resumed else "starts"
            case events.StepStarted():
                row.light, row.text = Light.WORKING, event.title
                row.step, row.steps = event.number, event.total
            case events.TouchWanted():
                row.light, row.text = Light.TOUCH, f"touch it now: {event.reason}"
            case events.ReinsertWanted():
                row.light, row.label = Light.REINSERT, event.label
                row.until = self.clock() + event.seconds
                row.text = f"take {event.label} out and put it in again: {event.reason}"
            case events.TouchDone() | events.ReinsertDone():
                row.light = Light.WORKING
            case events.WipeStarted():
                row.light, row.text = Light.WORKING, f"wiped: {'; '.join(event.used)}"
            case events.TokenWiped():
                row.label, row.light, row.text = event.label, Light.WORKING, "wiped"
            case events.TokenIssued():
                self.issued += 1
                self.issued_now += 1
                row.light, row.step = Light.READY, row.steps
                row.text = f"issued in {event.seconds:.1f} s: take it out"
            case events.ReaderHeld():
                row.light, row.text = Light.WORKING, f"held by {_names(event.holders)}: waits"
            case events.TokenReady():
                row.label, row.light, row.text = event.label, Light.READY, event.reason
            case events.TokenPassedOver():
                row.label = event.label or row.label
                row.light, row.text = Light.STOPPED, event.reason
            case events.TokenGivenUp():
                row.light, row.text = Light.STOPPED, f"take it out: {event.reason}"
            case events.OrderWaits():
                row.light, row.text = Light.READY, f"take it out: {event.reason}"
            case events.OrderFailed():
                self.failed += 1
                row.light, row.text = Light.STOPPED, event.reason

    def told(self, row: Row) -> str:
        """What is said of a reader now; while its token is awaited, with the seconds left."""
        if row.light is Light.REINSERT:
            return f"{max(0.0, row.until - self.clock()):.0f} s: {row.text}"
        return row.text or str(row.light)

    @property
    def per_minute(self) -> float:
        """Tokens a minute in this run."""
        elapsed = self.clock() - self.started
        return 60 * self.issued_now / elapsed if elapsed > 0 else 0.0

    @property
    def minutes_left(self) -> float | None:
        """At this rate; None before the first token is done."""
        return (self.total - self.issued) / self.per_minute if self.issued_now else None


def _names(holders: tuple[str, ...]) -> str:
    return ", ".join(holders) or "another program"
