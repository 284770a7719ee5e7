"""OpenSSL's CMP mock server for tests, with an authority behind it, on a port of the loopback.

The mock protects, checks and answers messages, but has one certificate to give and listens on every
address of the machine. So it runs in a network of its own, and this module stands before it: it
takes each exchange on the loopback, has OpenSSL certify the PKCS#10 in the first one, and starts
the mock with that certificate. `behaviours` say, one an exchange, what else happens: `lost` cuts
the connection in the place of the mock's answer.
"""

from __future__ import annotations

import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from asn1crypto import parser

from tests.https import make_authority
from tests.issued import openssl
from tests.servers import HOST

REFERENCE, SECRET = "station", "correct horse"
MOCK = Path(__file__).with_name("cmp_mock.py")
START_SECONDS = 20.0
P10CR = 4  # RFC 4210, 5.1.2


@dataclass
class CmpServer:
    """What stands before the mock; files lie in `folder`."""

    folder: Path
    port: int = 0
    options: tuple[str, ...] = ()  # of the mock, for what it is started with next
    behaviours: list[str] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)  # of the messages that came, RFC 4210, 5.1.2
    _mock: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}/pkix/"

    @property
    def log(self) -> str:
        """What the mock said."""
        return (self.folder / "mock.log").read_text(errors="replace")

    def make(self) -> None:
        """The authority and the secret that the station has, too."""
        make_authority(self.folder, "ca")
        (self.folder / "secret").write_text(SECRET)

    def certify(self, csr: bytes) -> None:
        """Have OpenSSL make the certificate that the mock will give, in given.pem."""
        (self.folder / "in.csr").write_bytes(csr)
        sign = "x509 -req -inform DER -in in.csr -CA ca.pem -CAkey ca.key -days 20 -out given.pem"
        openssl(*sign.split(), "-copy_extensions", "copyall", folder=self.folder)

    def answer(self, request: bytes) -> bytes:
        """The mock's answer to one HTTP request; b"" for one that gets lost."""
        kind, content = _body(request.partition(b"\r\n\r\n")[2])
        self.kinds.append(kind)
        if self._mock is None:
            if kind == P10CR:
                self.certify(content)
            self._start()
        answer = _exchange(self.folder / "mock.sock", request)
        behaviour = self.behaviours.pop(0) if self.behaviours else ""
        return b"" if behaviour == "lost" else answer

    def stop(self) -> None:
        """End the mock; the next exchange starts another."""
        if self._mock is None:
            return
        assert self._mock.stdin is not None
        self._mock.stdin.close()  # what it runs in ends with it
        self._mock.wait(START_SECONDS)
        self._mock = None

    def reset(self) -> None:
        """As it was at first."""
        self.stop()
        self.options = ()
        self.behaviours.clear()
        self.kinds.clear()

    def _start(self) -> None:
        given = ("-rsp_cert", "given.pem", "-rsp_extracerts", "ca.pem", *self.options)
        own = ("-srv_ref", REFERENCE, "-srv_secret", "file:secret", *given)
        path = self.folder / "mock.sock"
        path.unlink(missing_ok=True)
        with (self.folder / "mock.log").open("wb") as log:
            self._mock = subprocess.Popen(
                ["unshare", "-r", "-n", sys.executable, "-I", "-S", str(MOCK), str(path), *own],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_SECONDS
        while not path.exists():
            assert self._mock.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)


@contextmanager
def cmp_server(folder: Path) -> Iterator[CmpServer]:
    """Serve while entered, on a free port of the loopback."""
    state = CmpServer(folder=folder)
    state.make()

    class Exchange(socketserver.StreamRequestHandler):
        """One request and its answer."""

        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                if not line.lower().startswith(b"connection:"):  # each has one exchange
                    head += line
            (length,) = [
                int(line.partition(b":")[2])
                for line in head.splitlines()
                if line.lower().startswith(b"content-length:")
            ]
            self.wfile.write(state.answer(head + self.rfile.read(length)))

    server = socketserver.TCPServer((HOST, 0), Exchange)  # one exchange at a time, as the mock
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        state.stop()


def _body(message: bytes) -> tuple[int, bytes]:
    """Kind and content of the body in a PKIMessage (RFC 4210, 5.1)."""
    content = parser.parse(message)[4]
    header = sum(map(len, parser.parse(content)[3:]))
    body = parser.parse(content[header:])
    return body[2], body[4]


def _exchange(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))
