"""The readers' side of the simulator: answers the IFD handler for any number of contacts.

The wire is described in ifd/tokenprov_ifd.c. One thread a connection: a token that computes or
waits for a finger keeps nobody else waiting.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenprov.sim.contact import Contact, Operation

HELLO = struct.Struct(">cH")  # role, reader
HEADER = struct.Struct(">BI")  # operation or status, length in bytes
EVENTS = b"E"
COMMANDS = b"C"
PRESENT, ABSENT = b"\x01", b"\x00"
MAX_COMMAND_BYTES = 65536 + 16
BACKLOG = 64


def receive(connection: socket.socket, length: int) -> bytes | None:
    """Read exactly that many bytes; None when the other side is gone."""
    data = b""
    while len(data) < length:
        try:
            part = connection.recv(length - len(data))
        except ConnectionError:
            return None
        if not part:
            return None
        data += part
    return data


@dataclass(slots=True)
class Watcher:
    """pcscd's watch over one reader: events sent to it, and those that it has dealt with."""

    connection: socket.socket
    sent: int = 0
    dealt: int = 0  # modulo 256

    def tell(self, present: bool) -> None:
        """Send one event; nothing happens when pcscd is gone."""
        self.sent += 1
        with contextlib.suppress(OSError):
            self.connection.sendall(PRESENT if present else ABSENT)

    @property
    def settled(self) -> bool:
        """Whether pcscd has dealt with everything that was sent."""
        return self.sent % 256 == self.dealt


class ReaderServer:
    """Listens on `path` for the IFD handler and serves the contacts by their numbers."""

    def __init__(self, path: Path, contacts: Mapping[int, Contact]) -> None:
        self.path = path
        self._contacts = contacts
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(BACKLOG)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)
        self._watchers: dict[int, Watcher] = {}
        for contact in contacts.values():
            contact.noticed = self._notifier(contact.number)

    def start(self) -> None:
        """Serve from threads of its own."""
        threading.Thread(target=self._accept, name="readers", daemon=True).start()

    def close(self) -> None:
        """Stop serving: for pcscd, every card is gone."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.path.unlink(missing_ok=True)

    def device_of(self, number: int) -> str:
        """What reader.conf says in DEVICENAME for this reader."""
        return f"{self.path}:{number}"

    def wait_settled(self, number: int, seconds: float) -> bool:
        """Wait until pcscd has dealt with all that happened to a reader that is plugged in."""

        def settled() -> bool:
            watcher = self._watchers.get(number)
            return watcher is not None and watcher.settled

        with self._settled:
            return self._settled.wait_for(settled, seconds)

    def wait_unwatched(self, number: int, seconds: float) -> bool:
        """Wait until pcscd has let go of a reader that was unplugged."""
        with self._settled:
            return self._settled.wait_for(lambda: number not in self._watchers, seconds)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            with connection:
                hello = receive(connection, HELLO.size)
                if hello is None:
                    return
                role, number = HELLO.unpack(hello)
                contact = self._contacts.get(number)
                if contact is None:
                    return
                if role == EVENTS:
                    self._watch(connection, contact)
                elif role == COMMANDS:
                    self._answer(connection, contact)
        finally:
            with self._lock:
                self._open.discard(connection)

    def _watch(self, connection: socket.socket, contact: Contact) -> None:
        watcher = Watcher(connection=connection)
        with self._lock:
            self._watchers[contact.number] = watcher
            watcher.tell(contact.present)
        while (dealt := receive(connection, 1)) is not None:
            with self._settled:
                watcher.dealt = dealt[0]
                self._settled.notify_all()
        with self._settled:
            if self._watchers.get(contact.number) is watcher:
                del self._watchers[contact.number]
                self._settled.notify_all()

    def _notifier(self, number: int) -> Callable[[bool], None]:
        def noticed(present: bool) -> None:
            with self._lock:
                watcher = self._watchers.get(number)
                if watcher is not None:
                    watcher.tell(present)

        return noticed

    def _answer(self, connection: socket.socket, contact: Contact) -> None:
        while True:
            header = receive(connection, HEADER.size)
            if header is None:
                return
            operation, length = HEADER.unpack(header)
            if length > MAX_COMMAND_BYTES:
                return
            data = receive(connection, length) if length else b""
            if data is None:
                return
            status, answer = contact.operate(Operation(operation), data)
            try:
                connection.sendall(HEADER.pack(status, len(answer)) + answer)
            except OSError:
                return
            finally:
                contact.answered()
