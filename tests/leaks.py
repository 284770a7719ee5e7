"""Looking for secrets where none may be: every spelling that a log, a dump or a file may use.

A PIN is eight digits, and eight digits stand by chance in a long run of hex; a hit inside such a
run is not counted. All other spellings are long enough that chance does not matter.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODHEX = str.maketrans("0123456789abcdef", "cbdefghijklnrtuv")
PRIVATE_ID = 6  # bytes of a Yubico OTP seed that come before its AES key
AES_KEY = 16  # bytes
HEX = frozenset(b"0123456789abcdefABCDEF")


def spellings(value: bytes) -> Iterator[bytes]:
    """The ways to write a secret of bytes, itself first."""
    text = value.hex()
    yield value
    yield text.encode()
    yield text.upper().encode()
    yield text.translate(MODHEX).encode()
    yield value[::-1].hex().encode()
    yield " ".join(f"{byte:02x}" for byte in value).encode()
    yield " ".join(f"{byte:02X}" for byte in value).encode()
    yield ":".join(f"{byte:02x}" for byte in value).encode()
    yield ", ".join(map(str, value)).encode()  # a list of numbers
    yield ",".join(map(str, value)).encode()
    yield repr(value)[2:-1].encode()
    yield str(int.from_bytes(value)).encode()
    for before in range(3):  # base64 of something that holds it: the characters that it decides
        inside = slice(-(-before * 8 // 6), (before + len(value)) * 8 // 6)
        inner = base64.b64encode(bytes(before) + value + bytes(2))[inside]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


@dataclass(slots=True)
class Needles:
    """What is looked for: secrets by name."""

    found_as: dict[bytes, str] = field(default_factory=dict)
    digits: dict[bytes, str] = field(default_factory=dict)

    def add(self, serial: str, secrets: Mapping[str, str]) -> None:
        """The opened secrets of a token: PINs as text, keys as hex."""
        for name, shown in secrets.items():
            where = f"{serial} {name}"
            if name.endswith(("/pin", "/puk")):
                self.digits[shown.encode()] = where
                self._add(where, shown.encode(), skip=1)
                continue
            value = bytes.fromhex(shown)
            self._add(where, value)
            if name == "otp/1/seed":
                self._add(where, value[:PRIVATE_ID])
                self._add(where, value[PRIVATE_ID:])
            elif name == "otp/2/seed":  # a slot is told an HMAC key in two parts, 4 bytes apart
                self._add(where, value[:AES_KEY])

    def _add(self, where: str, value: bytes, skip: int = 0) -> None:
        for number, spelling in enumerate(spellings(value)):
            if number >= skip and len(spelling) >= PRIVATE_ID and spelling not in self.digits:
                self.found_as[spelling] = where

    def __len__(self) -> int:
        return len(self.digits) + len(self.found_as)

    def in_bytes(self, hay: bytes) -> set[str]:
        """The names of the secrets that stand in it."""
        hits = {where for needle, where in self.found_as.items() if needle in hay}
        for needle, where in self.digits.items():
            if any(not in_hex(hay, hit.start(), hit.end()) for hit in re.finditer(needle, hay)):
                hits.add(where)
        return hits

    def in_folder(self, folder: Path) -> dict[str, set[str]]:
        """The same of every file below a folder, its name included."""
        found = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            hits = self.in_bytes(
                name.encode() + b"\n" + (path.read_bytes() if path.is_file() else b"")
            )
            if hits:
                found[name] = hits
        return found


def in_hex(hay: bytes, start: int, end: int) -> bool:
    """Whether the digits are a part of a run of hex that is more than twice as long."""
    left, right = start, end
    while left > 0 and hay[left - 1] in HEX:
        left -= 1
    while right < len(hay) and hay[right] in HEX:
        right += 1
    return right - left > 2 * (end - start)
