"""An EST server for tests (RFC 7030), and nothing else: OpenSSL is its authority.

It answers /cacerts and /simpleenroll over TLS to who has the password or a certificate that it
trusts. `behaviours` say, one a request, what happens in its place: `later` answers 202, `lost` cuts
the connection after the certificate was made, `broken` answers 500, `refused` 400, `other` with a
certificate for another key. strongSwan's client is its judge (tests/peers/test_issuer_est.py).
"""

from __future__ import annotations

import base64
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.https import make_authority, make_tls, serving_https
from tests.issued import openssl
from tests.servers import HOST

USER, PASSWORD = "station", "correct horse"
BASE = "/.well-known/est"
EXTENSIONS = """
[leaf]
basicConstraints = critical, CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass
class EstServer:
    """What the server knows and did; files lie in `folder`."""

    folder: Path
    port: int = 0
    behaviours: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)  # PKCS#10, DER, in order

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://{HOST}:{self.port}{BASE}"

    @property
    def serials(self) -> list[str]:
        """The serial numbers that it gave out."""
        return (self.folder / "issued").read_text().split()

    def make(self) -> None:
        """Its authority for holders, and one for TLS."""
        make_authority(self.folder, "ca")
        make_tls(self.folder)
        (self.folder / "leaf.ext").write_text(EXTENSIONS)
        (self.folder / "issued").touch()

    def issue(self, csr: bytes) -> bytes:
        """A certificate for a request, as OpenSSL makes it: PKCS#7, DER."""
        (self.folder / "in.csr").write_bytes(csr)
        sign = "x509 -req -inform DER -in in.csr -CA ca.pem -CAkey ca.key -days 20 -out out.pem"
        how = ("-copy_extensions", "copyall", "-extfile", "leaf.ext", "-extensions", "leaf")
        openssl(*sign.split(), *how, folder=self.folder)
        serial = openssl("x509", "-in", "out.pem", "-noout", "-serial", folder=self.folder)
        with (self.folder / "issued").open("a") as file:
            file.write(serial.partition("=")[2])
        return self.pkcs7("out.pem")

    def pkcs7(self, certificate: str) -> bytes:
        """A file's certificates as certs-only PKCS#7, DER."""
        done = subprocess.run(
            ["openssl", "crl2pkcs7", "-nocrl", "-certfile", certificate, "-outform", "DER"],
            cwd=self.folder,
            capture_output=True,
            check=True,
        )
        return done.stdout


@contextmanager
def est_server(folder: Path) -> Iterator[EstServer]:
    """Serve while entered, on a free port of the loopback."""
    state = EstServer(folder=folder)
    state.make()
    with serving_https(folder, _handler(state)) as port:
        state.port = port
        yield state


def _handler(state: EstServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One exchange."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path != f"{BASE}/cacerts":
                self.send_error(404)
                return
            self._certificates(state.pkcs7("ca.pem"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self._is_known():
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="est"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if self.path != f"{BASE}/simpleenroll":
                self.send_error(404)
                return
            csr = base64.b64decode(body)
            state.requests.append(csr)
            behaviour = state.behaviours.pop(0) if state.behaviours else ""
            match behaviour:
                case "later" | "later-long":
                    self.send_response(202)
                    self.send_header("Retry-After", "1" if behaviour == "later" else "3600")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                case "lost":
                    state.issue(csr)
                    self.close_connection = True
                case "broken" | "refused":
                    self.send_response(500 if behaviour == "broken" else 400)
                    self.send_header("Content-Type", "text/plain")
                    self.send_header("Content-Length", "10")
                    self.end_headers()
                    self.wfile.write(b"not today\n")
                case "other":
                    self._certificates(state.pkcs7("client.pem"))
                case _:
                    self._certificates(state.issue(csr))

        def _is_known(self) -> bool:
            assert isinstance(self.connection, ssl.SSLSocket)
            words = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            known = self.headers.get("Authorization") == f"Basic {words}"
            return known or bool(self.connection.getpeercert())

        def _certificates(self, pkcs7: bytes) -> None:
            body = base64.b64encode(pkcs7)
            self.send_response(200)
            self.send_header("Content-Type", "application/pkcs7-mime; smime-type=certs-only")
            self.send_header("Content-Transfer-Encoding", "base64")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing is said."""

    return Handler
