"""The OTP interface: a keyboard, and beside it a feature report by which the slots are written.

The maker's manual ("YubiKey Manual" 3.4, chapter on the USB interface) and its host libraries
describe it. A frame of 70 bytes comes in ten reports of seven bytes and a counter; reports of zeros
between the first and the last may be left out. Answers of the kind that carries data come likewise;
a write shows by the programming sequence in the status. Where a touch is awaited, the status counts
down. `Keyboard` neither waits nor has threads: `pending` is what is to be asked of the token.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from tokenprov.sim.applets.otp import Request
from tokenprov.sim.applets.otp_frame import CRC_RESIDUE, crc16, with_crc
from tokenprov.sim.applets.otp_typing import SCAN_CODES, SHIFT

REPORT_BYTES = 8
PART = 7  # bytes of a frame in each report
PAYLOAD = 64
LAST = 9  # number of a frame's last report
RESET = 0xFF  # in the place of the counter
DUMMY = 0x8F  # likewise
LEFT_SHIFT = 0x02  # HID 1.11, 8.3: the modifier byte


class Flag(IntFlag):
    """The last byte of a report: flags above a counter."""

    WAITS = 0x20  # for a touch; below it the seconds that are left
    ANSWER = 0x40
    WRITE = 0x80


COUNTER = 0x1F

# How many bytes of the payload a request means: the frame is padded with zeros.
_LENGTHS = {
    Request.CONFIG_1: 58,
    Request.CONFIG_2: 58,
    Request.UPDATE_1: 58,
    Request.UPDATE_2: 58,
    Request.SWAP: 6,
    Request.NDEF_1: 62,
    Request.NDEF_2: 62,
    Request.SCAN_MAP: 51,
    Request.OTP_CHALLENGE_1: 6,
    Request.OTP_CHALLENGE_2: 6,
    Request.DEVICE_CONFIG: 4,
    Request.SERIAL: 0,
    Request.READ_DEVICE_INFO: 1,
}
_READS = frozenset(
    {
        Request.SERIAL,
        Request.READ_DEVICE_INFO,
        Request.OTP_CHALLENGE_1,
        Request.OTP_CHALLENGE_2,
        Request.HMAC_CHALLENGE_1,
        Request.HMAC_CHALLENGE_2,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A whole frame: the request, and what it says."""

    request: int
    data: bytes

    @property
    def reads(self) -> bool:
        """Whether its answer is data."""
        return self.request in _READS


class Keyboard:
    """The state of the feature report."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing came, nothing is answered."""
        self._frame: dict[int, bytes] = {}
        self._answer = b""
        self._at: int | None = None  # the part of the answer that is read next
        self.pending: Asked | None = None

    def write(self, report: bytes) -> None:
        """Take a feature report; afterwards `pending` may hold a whole frame."""
        flags = report[PART]
        if flags in (RESET, DUMMY):
            if self.pending is None:
                self.reset()
            return
        if not flags & Flag.WRITE or self.pending is not None:
            return
        number = flags & COUNTER
        if number == 0:
            self.reset()
        self._frame[number] = report[:PART]
        if number == LAST:
            self._take()

    def _take(self) -> None:
        whole = b"".join(self._frame.get(number, bytes(PART)) for number in range(LAST + 1))
        self._frame = {}
        payload, request, check = whole[:PAYLOAD], whole[PAYLOAD], whole[PAYLOAD + 1 :][:2]
        if crc16(payload).to_bytes(2, "little") != check:
            return
        if request == Request.WRITE_DEVICE_INFO:
            length = 1 + payload[0]
        else:
            length = _LENGTHS.get(Request(request), PAYLOAD) if request in set(Request) else 0
        self.pending = Asked(request=request, data=payload[:length])

    def answer(self, data: bytes | None) -> None:
        """The token answered what was pending; None where it refused, or wrote.

        Another thread may read meanwhile: it finds the request pending until the answer is there.
        """
        if data is not None:
            checked = len(data) > 2 and crc16(data) == CRC_RESIDUE
            self._answer = data if checked else with_crc(data)
            self._at = 0
        self.pending = None

    def read(self, status: bytes, waits: int | None) -> bytes:
        """Give a feature report. `status` is the applet's, `waits` the seconds for a touch."""
        if self.pending is not None:
            flags = Flag.WRITE if waits is None else Flag.WAITS | min(waits, COUNTER)
            return b"\0" + status + bytes([flags])
        if self._at is None:
            return b"\0" + status + b"\0"
        part = self._answer[self._at * PART :][:PART]
        if not part:
            self._at = None
            return bytes(PART) + bytes([Flag.ANSWER])
        self._at += 1
        return part.ljust(PART, b"\0") + bytes([Flag.ANSWER | self._at - 1])


def strokes(text: str) -> list[bytes]:
    """The keyboard's reports that type a text: each key down, and up again."""
    reports = []
    for letter in text:
        code = SCAN_CODES[letter]
        modifier = LEFT_SHIFT if code & SHIFT else 0
        reports += [bytes([modifier, 0, code & ~SHIFT, 0, 0, 0, 0, 0]), bytes(REPORT_BYTES)]
    return reports
