"""The two kinds of pipe that a token sends on, as a guest reads them.

A bulk pipe gives data only when it was asked for some; an interrupt pipe as soon as the guest
listens. What nobody took yet waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from tokenprov.sim.usb.redir import Packet, bulk_length

WAITING_REPORTS = 256  # of an interrupt pipe that nobody reads; older ones are lost


class BulkIn:
    """Data for whoever asks; `send(asked, data)` takes it there."""

    def __init__(self, send: Callable[[Packet, bytes], None]) -> None:
        self._send = send
        self._asked: deque[Packet] = deque()
        self._data: deque[bytes] = deque()
        self._lock = threading.Lock()

    def ask(self, packet: Packet) -> None:
        """The guest asks for data."""
        with self._lock:
            self._asked.append(packet)
            self._match()

    def put(self, data: bytes) -> None:
        """One message of the token."""
        with self._lock:
            self._data.append(data)
            self._match()

    def withdraw(self, number: int) -> Packet | None:
        """The guest no longer asks; gives what it had asked with."""
        with self._lock:
            for packet in self._asked:
                if packet.id == number:
                    self._asked.remove(packet)
                    return packet
        return None

    def clear(self) -> None:
        """Nothing is asked for, nothing waits."""
        with self._lock:
            self._asked.clear()
            self._data.clear()

    def _match(self) -> None:
        while self._asked and self._data:
            packet, data = self._asked.popleft(), self._data.popleft()
            room = bulk_length(packet)
            if len(data) > room:
                self._data.appendleft(data[room:])
            self._send(packet, data[:room])


class InterruptIn:
    """Reports for whoever listens; `send(report)` takes one there."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._listening = False
        self._waiting: deque[bytes] = deque(maxlen=WAITING_REPORTS)
        self._lock = threading.Lock()

    def listen(self, listening: bool) -> None:
        """The guest begins to listen, or stops."""
        with self._lock:
            self._listening = listening
            while listening and self._waiting:
                self._send(self._waiting.popleft())

    def put(self, report: bytes) -> None:
        """One report of the token."""
        with self._lock:
            if self._listening:
                self._send(report)
            else:
                self._waiting.append(report)

    def clear(self) -> None:
        """Nothing waits."""
        with self._lock:
            self._waiting.clear()
