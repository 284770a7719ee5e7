"""Tokens that arrived, by their packing list: entries first, then the stock that the line asks.

Rules:
- An entry says what the list says: a serial and where it stands. What the token is shows when it is
  issued; of a card's serial no list says who made it.
- One entry a token that no entry names yet, all under one checkpoint. Cut off before the stock has
  them, the same import goes on: what has its entry gets no second one.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenprov.home import Home
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.manifest import Addition

MAKER = "yubico"  # whose serials are numbers of 32 bits (`stock`)
UNKNOWN = "unknown"


def receive(home: Home, serials: Sequence[str], *, source: str, operator: str) -> int:
    """Take serials into the stock, on the record; gives how many were not there yet."""
    new = [serial for serial in serials if not home.manifest.found_by(f"serial {serial}")]
    if new:
        home.manifest.append_many([Addition(entry=_entry(home, s, source, operator)) for s in new])
    return home.ledger.stock.receive(serials, source, operator, home.clock())


def _entry(home: Home, serial: str, source: str, operator: str) -> Entry:
    return {
        **entry_head(Kind.RECEIVED, time=home.clock(), station=home.name, operator=operator),
        "token": {
            "maker": MAKER if serial.isdecimal() else UNKNOWN,
            "serial": serial,
            "virtual": False,
        },
        "source": source,
    }
