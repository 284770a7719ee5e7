"""What servers really answer: without end, slowly, compressed, elsewhere, and when to come again.

The server is a socket of the test's own that sends bytes as they stand here.
"""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import repeat

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers import HOST
from tokenprov.errors import IssuerError, IssuerUnanswered
from tokenprov.issuer.acme_session import AcmeSession, Problem
from tokenprov.issuer.web import WebSettings, ask, connection, exchange, retry_after

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
Send = Callable[[socket.socket], None]


@contextmanager
def answering(send: Send) -> Iterator[str]:
    """A server that reads a request, sends that, and closes; gives its address."""
    with socket.create_server((HOST, 0)) as listening:

        def serve() -> None:
            try:
                while True:
                    there, _ = listening.accept()
                    with there:
                        there.recv(65536)
                        send(there)
            except OSError:  # the client, or the test, has enough
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://{HOST}:{listening.getsockname()[1]}/"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def saying(*lines: str, body: bytes = b"") -> Send:
    """An answer of these header lines, the status first."""
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""])
    return lambda there: there.sendall(head.encode() + body)


def without_end(there: socket.socket) -> None:
    """More and more."""
    there.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for part in repeat(bytes(65536)):
        there.sendall(part)


def drop_by_drop(there: socket.socket) -> None:
    """A byte now and then, each of which comes in time."""
    there.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for part in repeat(b"x"):
        there.sendall(part)
        time.sleep(0.05)


def blown_up(there: socket.socket) -> None:
    """Little on the wire, and much behind it."""
    body = gzip.compress(bytes(8 * 1024 * 1024))
    saying("HTTP/1.1 200 OK", "Content-Encoding: gzip", body=body)(there)


@pytest.mark.parametrize(
    ("send", "said"),
    [
        (without_end, "answered with more than 1048576 bytes"),
        (blown_up, "answered with more than 1048576 bytes"),
        (drop_by_drop, "did not come to the end of its answer in time"),
        (lambda there: there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), "did not"),
        (lambda there: there.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "did not answer"),
    ],
)
def test_an_answer_has_an_end(send: Send, said: str) -> None:
    """What has none, or is cut off, may have been carried out, and is not read for ever."""
    with (
        answering(send) as url,
        connection(WebSettings(timeout=0.5)) as client,
        pytest.raises(IssuerUnanswered, match=said),
    ):
        ask(client, "POST", url, content=b"x")


def test_a_compressed_answer_is_read() -> None:
    """What a server compresses comes out as it was, with the words of a refusal."""
    words = gzip.compress(b"not today")
    headers = ("HTTP/1.1 403 No", "Content-Type: text/plain", "Content-Encoding: gzip")
    with answering(saying(*headers, body=words)) as url, connection(WebSettings()) as client:
        with pytest.raises(IssuerError, match="403 Forbidden: not today"):
            ask(client, "GET", url)
        assert exchange(client, "GET", url).content == b"not today"


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://a..b:99999/", "https://\x00/", "/order/1"]
)
def test_an_address_that_is_none(url: str) -> None:
    """One that a server gave, or a person: nothing is sent."""
    with connection(WebSettings()) as client, pytest.raises(IssuerError) as raised:
        exchange(client, "GET", url)
    assert type(raised.value) is IssuerError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("Tue, 24 Nov 2026 12:01:00 GMT", 60),
        ("Tue, 24 Nov 2026 12:01:00 -0000", 60),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("9" * 5000, None),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 0),
        ("-5", None),
    ],
)
def test_when_to_ask_again(text: str, seconds: int | None) -> None:
    """Seconds or a date; what is neither says nothing."""
    assert retry_after(httpx.Response(202, headers={"Retry-After": text}), NOW) == seconds


@pytest.mark.parametrize(
    ("status", "error"), [("429 Too Many", IssuerError), ("503 Later", IssuerUnanswered)]
)
def test_a_busy_server_is_told_as_it_says_it(status: str, error: type[IssuerError]) -> None:
    """Who runs the command reads when it is of use to run it again."""
    send = saying(f"HTTP/1.1 {status}", "Retry-After: 3600")
    with (
        answering(send) as url,
        connection(WebSettings()) as client,
        pytest.raises(error) as raised,
    ):
        ask(client, "GET", url)
    assert "in 3600 s" in raised.value.remedy


NESTED = b'{"newNonce":' + b"[" * 100_000
DOCUMENTS = [b"[1]", b"{", b"\xff", NESTED, b"null"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=["list", "cut", "bytes", "nested", "null"])
def test_a_directory_that_is_none(document: bytes) -> None:
    """JSON that is cut off, of another kind, or nested without end is an error and no crash."""
    with (
        answering(saying("HTTP/1.1 200 OK", body=document)) as url,
        connection(WebSettings()) as client,
        pytest.raises(IssuerError, match="no ACME"),
    ):
        AcmeSession(client, url, _key())


def test_acme_stays_with_tls() -> None:
    """A directory that leads to plain HTTP is not followed (RFC 8555, 6.1)."""
    directory = b'{"newNonce": "http://ca.example.test/nonce", "newAccount": "https://a.test/"}'
    with (
        answering(saying("HTTP/1.1 200 OK", body=directory)) as url,
        connection(WebSettings()) as client,
    ):
        session = AcmeSession(client, url, _key())
        with pytest.raises(IssuerError, match="not HTTPS"):
            session.enter((), None)


@pytest.mark.parametrize("problem", [{}, {"type": 5, "detail": ["x"], "subproblems": [1, {}]}])
def test_a_problem_of_any_form(problem: dict[str, object]) -> None:
    """What a server gives for a problem document is shown as far as it is one."""
    assert "refused" in Problem("https://a.test/", problem).message


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())
