"""A machine at the other end of a virtual USB port: the least of usbredir that a guest speaks.

`Machine` connects to a port's socket and uses the token on it as a host does: control transfers,
reports, bulk messages. On top of it, `OtpCable`, `FidoCable` and `CardCable` are the connections
that the maker's libraries take.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import defaultdict
from pathlib import Path
from queue import Empty, Queue

from fido2.hid.base import CtapHidConnection
from yubikit.core import TRANSPORT
from yubikit.core.otp import OtpConnection
from yubikit.core.smartcard import SmartCardConnection

CAPABILITIES = 0b1111010  # as QEMU has them, less filters and bulk streams
SECONDS = 10.0
HELLO, CONNECT, DISCONNECT, EP_INFO = 0, 1, 2, 5
SET_CONFIGURATION, CONFIGURED, START, CANCEL = 6, 8, 15, 21
CONTROL, BULK, INTERRUPT = 100, 101, 103


class Stalled(Exception):
    """A transfer ended otherwise than well; its status is the argument."""


class Machine:
    """One machine on one port. `capabilities` are what its hello says."""

    def __init__(self, path: Path, capabilities: int = CAPABILITIES) -> None:
        self.capabilities = capabilities
        self.connected: Queue[bytes] = Queue()  # bodies of device_connect
        self.gone: Queue[bool] = Queue()
        self.present = False
        self.endpoints = b""
        self.reports: defaultdict[int, Queue[bytes]] = defaultdict(Queue)
        self._answers: defaultdict[int, Queue[tuple[int, bytes]]] = defaultdict(Queue)
        self._number = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        hello = struct.pack("<64sI", b"a machine", capabilities)
        self._socket.sendall(struct.pack("<III", HELLO, len(hello), 0) + hello)
        self._stream = self._socket.makefile("rb")
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Leave."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        first = True
        while True:
            wide = not first and self.capabilities & 1 << 5
            head = self._stream.read(16 if wide else 12)
            if len(head) < 12:
                return
            kind, length = struct.unpack_from("<II", head)
            number = int.from_bytes(head[8:], "little")
            self._take(kind, number, self._stream.read(length))
            first = False

    def _take(self, kind: int, number: int, body: bytes) -> None:
        if kind == CONNECT:
            self.present = True
            self.reports.clear()
            self.connected.put(body)
        elif kind == DISCONNECT:
            self.present = False
            for reports in list(self.reports.values()):
                reports.put(b"")
            self.gone.put(True)
        elif kind == EP_INFO:
            self.endpoints = body
        elif kind == INTERRUPT and body[0] & 0x80:
            self.reports[body[0]].put(body[4:])
        else:
            self._answers[number].put((kind, body))

    def send(self, kind: int, body: bytes = b"", number: int | None = None) -> int:
        """Send a packet; gives its number."""
        self._number += 1
        number = self._number if number is None else number
        wide = self.capabilities & 1 << 5
        head = struct.pack("<IIQ" if wide else "<III", kind, len(body), number)
        self._socket.sendall(head + body)
        return number

    def answer(self, number: int) -> bytes:
        """The body of the answer to a packet. Raises `Stalled` when the token is gone."""
        deadline = time.monotonic() + SECONDS
        while self.present and time.monotonic() < deadline:
            with contextlib.suppress(Empty):
                return self._answers[number].get(timeout=0.05)[1]
        raise Stalled("nothing was answered")

    def configure(self) -> bytes:
        """Wait for a token and use it; gives what it said it is."""
        connect = self.connected.get(timeout=SECONDS)
        self.answer(self.send(SET_CONFIGURATION, b"\x01"))
        return connect

    def listen(self, endpoint: int) -> None:
        """Begin to read an interrupt endpoint."""
        self.answer(self.send(START, bytes([endpoint])))

    def control(
        self, kind: int, request: int, value: int, index: int, data: bytes = b"", length: int = 0
    ) -> bytes:
        """A control transfer; gives what the token gave. Raises `Stalled`."""
        size = len(data) or length
        head = struct.pack("<BBBBHHH", kind & 0x80, request, kind, 0, value, index, size)
        body = self.answer(self.send(CONTROL, head + data))
        if body[3]:
            raise Stalled(body[3])
        return body[10:]

    def output(self, endpoint: int, report: bytes) -> None:
        """A report to the token. Raises `Stalled`."""
        body = self.answer(self.send(INTERRUPT, struct.pack("<BBH", endpoint, 0, 64) + report))
        if body[1]:
            raise Stalled(body[1])

    def bulk(self, endpoint: int, data: bytes = b"", length: int = 0) -> int:
        """Begin a bulk transfer; gives its number."""
        size = len(data) or length
        head = struct.pack("<BBHI", endpoint, 0, size & 0xFFFF, 0)
        head += struct.pack("<H", size >> 16) if self.capabilities & 1 << 6 else b""
        return self.send(BULK, head + data)

    def bulk_answer(self, number: int) -> tuple[int, bytes]:
        """Status and data of a bulk transfer."""
        body = self.answer(number)
        return body[1], body[10 if self.capabilities & 1 << 6 else 8 :]


class OtpCable(OtpConnection):
    """The keyboard's feature reports, as the maker's library wants them."""

    def __init__(self, machine: Machine, interface: int = 0) -> None:
        self._machine, self._interface = machine, interface

    def receive(self) -> bytes:
        """Read the feature report."""
        return self._machine.control(0xA1, 0x01, 0x0300, self._interface, length=8)

    def send(self, data: bytes) -> None:
        """Write it."""
        self._machine.control(0x21, 0x09, 0x0300, self._interface, bytes(data))

    def close(self) -> None:
        """Nothing to close."""


class FidoCable(CtapHidConnection):
    """FIDO reports, as fido2 wants them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        machine.listen(0x84)

    def write_packet(self, data: bytes) -> None:
        """A report to the token."""
        self._machine.output(0x04, bytes(data))

    def read_packet(self) -> bytes:
        """A report from the token. Raises `Stalled` when it is gone."""
        report = self._machine.reports[0x84].get(timeout=SECONDS)
        if not report:
            raise Stalled("gone")
        return report

    def close(self) -> None:
        """Nothing to close."""


class CardCable(SmartCardConnection):
    """CCID messages, as libccid sends them, below APDUs; counts the time extensions."""

    def __init__(self, machine: Machine, room: int = 3062) -> None:
        self._machine, self._room, self._sequence = machine, room, 0
        self.extensions = 0
        self.atr = self.message(0x62, b"")[1]

    @property
    def transport(self) -> TRANSPORT:
        """USB."""
        return TRANSPORT.USB

    def close(self) -> None:
        """Power it off."""
        self.message(0x63, b"")

    def message(self, kind: int, data: bytes, level: int = 0) -> tuple[bytes, bytes]:
        """One message; gives status, error and chain bytes of the answer, and its data."""
        self._sequence = (self._sequence + 1) % 256
        head = struct.pack("<BIBBBH", kind, len(data), 0, self._sequence, 0, level)
        for at in range(0, len(head + data), 64):  # as a full-speed bus cuts it
            number = self._machine.bulk(0x02, (head + data)[at : at + 64])
            if status := self._machine.bulk_answer(number)[0]:
                raise Stalled(status)
        while True:
            status, got = self._machine.bulk_answer(self._machine.bulk(0x82, length=3072))
            if status:
                raise Stalled(status)
            assert got[6] == self._sequence
            if got[7] & 0xC0 != 0x80:
                return got[7:10], got[10:]
            self.extensions += 1

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One APDU, in as many messages as it takes."""
        parts = [apdu[at : at + self._room] for at in range(0, len(apdu), self._room)]
        for number, part in enumerate(parts):
            begins, ends = number == 0, number == len(parts) - 1
            level = 0 if begins and ends else 1 if begins else 2 if ends else 3
            state, data = self.message(0x6F, part, level)
        answer = data
        while state[2] in (1, 3):
            state, data = self.message(0x6F, b"", 0x10)
            answer += data
        if state[0] & 0xC0:
            raise Stalled(state[1])
        return answer[:-2], int.from_bytes(answer[-2:], "big")


def nothing_came(queue: Queue[bytes], seconds: float = 0.2) -> bool:
    """Whether a queue stays empty for so long."""
    try:
        queue.get(timeout=seconds)
    except Empty:
        return True
    return False
