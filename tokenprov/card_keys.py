"""Management keys that cards came with, where their maker did not publish it.

One file a key, NAME.hex in the home's `card-keys/`: the key in hex, readable by its owner alone. A
card has no standard command to change it, so the station needs it as long as it makes such cards.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from tokenprov.errors import StationError
from tokenprov.secret import Secret

SIZES = (16, 24, 32)  # bytes: AES-128, 3DES and AES-192, AES-256 (SP 800-78-5, table 5-1)
FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def load_card_key(folder: Path, name: str) -> Secret:
    """The key of that name. Raises `StationError` where it is not there, or not as it must be."""
    path = folder / f"{name}.hex"
    put_right = f"Put it in hex into {path}, and then: chmod 600 {path}"
    if not _NAME.fullmatch(name):
        raise StationError(
            f"{name!r} cannot name a management key",
            remedy="Write lower-case words joined by dashes, as in acme-2026.",
        )
    try:
        if path.stat().st_mode & FOR_OTHERS:
            raise StationError(
                f"{path} can be read by others than its owner", remedy=f"Run: chmod 600 {path}"
            )
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError as error:
        raise StationError(
            f"the station has no management key called {name}", remedy=put_right
        ) from error
    except ValueError as error:  # not shown: it may be the key but for a letter
        raise StationError(f"{path} is not a key in hex", remedy=put_right) from error
    if len(key) not in SIZES:
        raise StationError(
            f"{path} holds a key of {len(key)} bytes", remedy="A card has one of 16, 24 or 32."
        )
    return Secret(key)
