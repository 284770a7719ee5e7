"""Who made a card, as far as its answer to reset tells.

ISO/IEC 7816-3, 8.2 for the ATR; 7816-4, 12.1.1 for the historical bytes, of which a card's issuer
may use compact TLVs 5 (issuer's data) and 6 (pre-issuing data) as it likes. Many cards write a name
there that is not framed as the standard wants it: then the longest readable run counts.
"""

from __future__ import annotations

import re

UNKNOWN = "unknown"
COMPACT_TLV = b"\x00\x80"  # category indicators whose content is compact TLVs
NAMES = (5, 6)  # compact tags: card issuer's data, pre-issuing data

_READABLE = re.compile(rb"[ -~]{4,}")
_INTERFACE_BYTES = (0x10, 0x20, 0x40, 0x80)  # bits of T0 and TDi: TA, TB, TC, TD follow


def maker_of(atr: bytes) -> str:
    """The readable name in the historical bytes, "unknown" where there is none."""
    historical = historical_bytes(atr)
    if historical[:1] and historical[0] in COMPACT_TLV:
        for tag, value in _compact(historical[1:]):
            if tag in NAMES and _READABLE.fullmatch(value):
                return value.decode("ascii").strip()
    runs = _READABLE.findall(historical)
    return max(runs, key=len).decode("ascii").strip() if runs else UNKNOWN


def historical_bytes(atr: bytes) -> bytes:
    """The historical bytes; empty where the ATR ends before them."""
    if len(atr) < 2:
        return b""
    count, following, place = atr[1] & 0x0F, atr[1], 2
    while True:
        present = [bit for bit in _INTERFACE_BYTES if following & bit]
        place += len(present)
        if 0x80 not in present or place > len(atr):
            return atr[place : place + count]
        following = atr[place - 1]


def _compact(data: bytes) -> list[tuple[int, bytes]]:
    """Compact TLVs; those that claim more than there is are not there."""
    found, place = [], 0
    while place < len(data):
        tag, size = data[place] >> 4, data[place] & 0x0F
        value = data[place + 1 : place + 1 + size]
        if len(value) == size:
            found.append((tag, value))
        place += 1 + size
    return found
