"""Numbers that grow from list to list, on disk (RFC 5280, 5.2.3; OpenSSH, PROTOCOL.krl).

Whatever the clock does, the next is one more than the last on disk, or the time in seconds where
that is more: a folder that was restored from a backup goes on above what was published before. A
number is on the disk before a list bears it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tokenprov.errors import StationError
from tokenprov.record.files import write_durable


def next_number(file: Path, now: datetime) -> int:
    """The next one, durable on return; one caller at a time. Raises `StationError`."""
    try:
        last = int(file.read_bytes())
    except FileNotFoundError:
        last = 0
    except ValueError as exc:
        raise StationError(
            f"{file} holds no number",
            remedy="Write the number of the last list that was published into it.",
        ) from exc
    number = max(last + 1, int(now.timestamp()))
    write_durable(file, f"{number}\n".encode())
    return number
