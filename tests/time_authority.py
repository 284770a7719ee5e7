"""A time-stamp authority (RFC 3161) on the loopback: `openssl ts` behind a server of the test's."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SETTINGS = """[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.55738.1
digests = sha256
"""
USE = """extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
basicConstraints = critical,CA:FALSE
"""
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An authority that answers at `url`, below `root`; at `/other` to another question."""

    folder: Path
    url: str

    @property
    def root(self) -> Path:
        """Its root's certificate."""
        return self.folder / "root.pem"


def openssl(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run it there."""
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False)


def answer(folder: Path, query: bytes) -> bytes:
    """What `openssl ts` answers to a query."""
    (folder / "query").write_bytes(query)
    named = ("-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
    done = openssl(folder, "ts", "-reply", *named)
    assert done.returncode == 0, done.stderr
    return (folder / "reply").read_bytes()


@contextmanager
def time_authority(folder: Path) -> Iterator[Authority]:
    """A root, a certificate for time stamps below it, and a server on the loopback."""
    (folder / "tsa.cnf").write_text(SETTINGS.format(folder=folder))
    (folder / "use").write_text(USE)
    root = ("-subj", "/CN=Time Root", "-keyout", "root.key", "-out", "root.pem", "-days", "9")
    mine = ("-subj", "/CN=Time", "-keyout", "tsa.key", "-out", "tsa.csr")
    by_root = ("-CA", "root.pem", "-CAkey", "root.key", "-extfile", "use", "-days", "9")
    for command in (
        ("req", "-x509", *EC, *root),
        ("req", "-new", *EC, *mine),
        ("x509", "-req", "-in", "tsa.csr", *by_root, "-out", "tsa.pem"),
        ("req", "-x509", *EC, *(word.replace("root", "stranger") for word in root)),
    ):
        assert openssl(folder, *command).returncode == 0, command
    elsewhere = folder / "elsewhere"
    elsewhere.write_bytes(b"something else")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/other":
                openssl(folder, "ts", "-query", "-data", elsewhere, "-cert", "-out", "q")
                query = (folder / "q").read_bytes()
            self.send_response(503 if self.path == "/busy" else 200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(answer(folder, query) if self.path != "/torn" else b"0")

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Authority(folder=folder, url=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
