"""What a touched slot types, read from the keyboard as the kernel gives it (linux/input.h)."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from yubikit.core.otp import check_crc, modhex_decode

from hwtests.errors import BenchError

EVENT = struct.Struct("@llHHi")  # struct input_event: seconds, microseconds, type, code, value
EV_KEY, PRESSED = 1, 1
GRAB = 0x40044590  # EVIOCGRAB
ENTER = "\n"
# linux/input-event-codes.h: where modhex's letters are on every keyboard, and Enter.
_LETTERS = dict(
    zip(
        (46, 48, 32, 18, 33, 34, 35, 23, 36, 37, 38, 49, 19, 20, 22, 47, 28),
        (*"cbdefghijklnrtuv", ENTER),
        strict=True,
    )
)
OTP_LETTERS = 32  # of 16 bytes, after the public id
ID, USAGE, SESSION = slice(0, 6), slice(6, 8), 11  # in those bytes


class Listener:
    """The keyboards of one key, heard from when it is made. Closing lets them go.

    With `alone` nobody else hears them meanwhile, a terminal least of all.
    """

    def __init__(self, keyboards: Sequence[Path], alone: bool) -> None:
        self._text = ""
        with ExitStack() as opening:
            self._nodes: list[int] = []
            for node in keyboards:
                try:
                    opened = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
                    opening.callback(os.close, opened)
                    if alone:
                        fcntl.ioctl(opened, GRAB, 1)
                except OSError as error:
                    why = "See what mends it: tokenprov doctor"
                    raise BenchError(f"{node} cannot be listened to: {error}. {why}") from error
                self._nodes.append(opened)
            self._open = opening.pop_all()

    def heard(self) -> str:
        """All that was typed so far; a key that is none of modhex is a question mark."""
        for node in self._nodes:
            try:
                while events := os.read(node, EVENT.size * 64):
                    for _, _, kind, code, value in EVENT.iter_unpack(events):
                        if (kind, value) == (EV_KEY, PRESSED):
                            self._text += _LETTERS.get(code, "?")
            except BlockingIOError:
                continue
        return self._text

    def has_a_line(self) -> bool:
        """Whether a slot has typed to its end."""
        return ENTER in self.heard()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


@dataclass(frozen=True, slots=True)
class Code:
    """A Yubico OTP, opened."""

    public_id: str
    usage: int  # power-ups in which the key was used
    session: int  # codes since the last of them, from 0

    def between(self, later: Code) -> int:
        """At least so many codes of the same key were typed between this one and a later one."""
        if later.usage == self.usage:
            return later.session - self.session - 1
        return later.usage - self.usage - 1 + later.session


def opened_otp(text: str, seed: bytes) -> Code:
    """What a slot typed. `seed`: private id and AES key. Raises `BenchError` for another key's."""
    public_id, otp = text[:-OTP_LETTERS], text[-OTP_LETTERS:]
    cipher = Cipher(algorithms.AES(seed[6:]), modes.ECB()).decryptor()  # as the maker has it
    try:
        plain = cipher.update(modhex_decode(otp)) + cipher.finalize()
    except ValueError as error:
        raise BenchError(f"what was typed is no Yubico OTP: {len(text)} letters") from error
    if plain[ID] != seed[:6] or not check_crc(plain):
        raise BenchError("what was typed is not of the sealed key")
    return Code(public_id, int.from_bytes(plain[USAGE], "little"), plain[SESSION])
