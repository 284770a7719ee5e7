"""An authority on HTTP: its OCSP responder, its lists and its certificate, where its URLs say.

    POST, GET <path of ocsp-url>[/<base64 of a request>]    RFC 6960, appendix A
    GET <path of crl-url>, <path of delta-crl-url>          RFC 5280, 4.2.1.13; application/pkix-crl
    GET <path of certificate-url>                           4.2.2.1; application/pkix-cert

No TLS: what is served is signed, and TLS would need what is served (RFC 5280, 8). Without
`ocsp-url` the responder is at /.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.errors import TokenprovError
from tokenprov.issuer.ca.local import LocalCa
from tokenprov.issuer.ca.responder import ANSWER_VALIDITY, MAX_REQUEST, Responder

OCSP_REQUEST, OCSP_RESPONSE = "application/ocsp-request", "application/ocsp-response"
LIST, CERTIFICATE = "application/pkix-crl", "application/pkix-cert"
SLOW = 10.0  # seconds for which a client is waited for

Document = tuple[str, bytes]  # its type, and itself
_NUMBER = re.compile("[0-9]{1,9}", re.ASCII)


class CaServer(ThreadingHTTPServer):
    """Serves one authority, a thread a request, until `shutdown`."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], ca: LocalCa, clock: Callable[[], datetime]
    ) -> None:
        """Raises OSError where the address cannot be had, and what `Responder` does."""
        self.responder = Responder(ca, clock())
        self.clock = clock
        settings = ca.signer.settings
        self.responder_path = _path(settings.ocsp_url).rstrip("/")
        self.documents: dict[str, Callable[[], Document]] = {}
        for url, document in (
            (settings.crl_url, lambda: (LIST, ca.lists(clock()).whole)),
            (settings.delta_crl_url, lambda: (LIST, ca.lists(clock()).delta)),
            (
                settings.certificate_url,
                lambda: (CERTIFICATE, ca.certificate.public_bytes(Encoding.DER)),
            ),
        ):
            if url:
                self.documents[_path(url)] = document
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: CaServer
    timeout = SLOW
    server_version, sys_version = "tokenprov", ""

    def do_POST(self) -> None:
        """A request in the body."""
        size = self.headers.get("Content-Length", "")
        if not _NUMBER.fullmatch(size) or not 0 < int(size) <= MAX_REQUEST:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif self.headers.get("Content-Type") != OCSP_REQUEST:
            self.send_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        elif urlsplit(self.path).path.rstrip("/") != self.server.responder_path:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._answer(self.rfile.read(int(size)), method="POST")

    def do_GET(self) -> None:
        """A list, the certificate, or a request in the path."""
        path = urlsplit(self.path).path
        document = self.server.documents.get(path)
        asked = path.removeprefix(f"{self.server.responder_path}/")
        if document is not None:
            self._send(document)
        elif path == asked or not 0 < len(asked) <= MAX_REQUEST:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            try:
                request = base64.b64decode(unquote(asked), validate=True)
            except (binascii.Error, ValueError):
                self.send_error(HTTPStatus.BAD_REQUEST)
            else:
                self._answer(request, method="GET")

    def _answer(self, request: bytes, *, method: str) -> None:
        kept = False

        def document() -> Document:
            nonlocal kept
            answer = self.server.responder.answer(request, self.server.clock())
            kept = answer.cacheable and method == "GET"
            return OCSP_RESPONSE, answer.der

        self._send(document, lambda: kept)

    def _send(
        self, document: Callable[[], Document], kept: Callable[[], bool] = lambda: False
    ) -> None:
        try:
            kind, content = document()
        except TokenprovError as error:  # a disk that is full, a record that is damaged
            self.log_error("%s", error.message)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        age = int(ANSWER_VALIDITY.total_seconds()) // 2 if kept() else 0  # RFC 5019, 6.2
        self.send_header("Cache-Control", f"max-age={age}, public" if age else "no-cache")
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged: who asks for whose certificate is nobody's business."""


def _path(url: str | None) -> str:
    return urlsplit(url).path if url else ""
