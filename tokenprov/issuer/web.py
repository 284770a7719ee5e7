"""Authorities that are asked over HTTP: the connection, and what its failures mean.

Rules:
- A server is known by the authority that the station names for it (`trust`), and by no other; by
  the system's where it names none.
- No redirection is followed, no proxy taken from the environment: a request goes where the profile
  says, or nowhere.
- What never reached the server was not carried out: `IssuerError`. What may have reached it:
  `IssuerUnanswered`. What it refused: `IssuerError` with its words.
- An answer has an end: so many bytes, after decompression, and the settings' time for all of them.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from tokenprov.errors import IssuerError, IssuerUnanswered, StationError
from tokenprov.issuer.settings import File, Settings

MAX_ANSWER = 1024 * 1024  # bytes; a certificate with those above it has some thousands
MAX_LIST = 64 * 1024 * 1024  # bytes; a list of a million certificates has about forty million
_MAX_SAID = 200  # characters of a refusal that are shown
_MAX_DIGITS = 9  # of a number of seconds
_AGAIN = "Run the same command again: the station knows what it sent."
_OF_TRANSFER = ("content-encoding", "content-length", "transfer-encoding")  # done when it is read


class WebSettings(Settings):
    """How a server is known, and how it knows the station."""

    trust: File | None = None  # PEM: the authorities that its TLS certificate may be from
    certificate: File | None = None  # PEM: the station's own, for TLS
    key: File | None = None  # PEM, its private key


@contextmanager
def connection(settings: WebSettings) -> Iterator[httpx.Client]:
    """A client that goes by the settings. Raises `StationError` where their files are wrong."""
    try:
        context = ssl.create_default_context(cafile=settings.trust)  # TLS 1.2 and newer
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except OSError as exc:  # ssl.SSLError is one
        files = [settings.trust, settings.certificate, settings.key]
        raise StationError(
            f"{', '.join(str(one) for one in files if one)}: no certificates for TLS: {exc}",
            remedy="Write PEM files: trust the authority of the server, certificate and key the"
            " station's own.",
        ) from exc
    with httpx.Client(
        verify=context, timeout=settings.timeout, trust_env=False, follow_redirects=False
    ) as client:
        yield client


def exchange(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    limit: int = MAX_ANSWER,
) -> httpx.Response:
    """One exchange; gives what the server answered, a refusal too, of `limit` bytes at the most.

    Raises `IssuerError` and `IssuerUnanswered` by the rules above.
    """
    began = time.monotonic()
    try:
        with client.stream(method, url, content=content, headers=headers, auth=auth) as coming:
            answer = _whole(coming, limit, began + (client.timeout.read or 0.0))
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise IssuerError(
            f"{first_line(url)!r} is no address: {exc}",
            remedy="Correct it; where the server gave it, ask who runs the authority.",
        ) from exc
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as exc:
        raise IssuerError(
            f"{url} was not reached: {first_line(str(exc)) or type(exc).__name__}",
            remedy="Nothing was sent. Mend that, then run the same command again.",
        ) from exc
    except httpx.HTTPError as exc:
        raise IssuerUnanswered(
            f"{url} did not answer: {first_line(str(exc)) or type(exc).__name__}", remedy=_AGAIN
        ) from exc
    if answer.is_server_error:
        raise IssuerUnanswered(f"{url} failed: {_said(answer)}", remedy=_later(answer) or _AGAIN)
    return answer


def _whole(coming: httpx.Response, limit: int, until: float) -> httpx.Response:
    """An answer that was read to its end, which it must have. Raises `IssuerUnanswered`."""
    parts, size = list[bytes](), 0
    for part in coming.iter_bytes():
        size += len(part)
        if size > limit:
            raise IssuerUnanswered(
                f"{coming.url} answered with more than {limit} bytes", remedy=_AGAIN
            )
        if time.monotonic() > until:
            raise IssuerUnanswered(
                f"{coming.url} did not come to the end of its answer in time",
                remedy=f"{_AGAIN} For a slow line, write a longer timeout into its file.",
            )
        parts.append(part)
    kept = [(name, value) for name, value in coming.headers.items() if name not in _OF_TRANSFER]
    return httpx.Response(
        coming.status_code, headers=kept, content=b"".join(parts), request=coming.request
    )


def ask(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    limit: int = MAX_ANSWER,
) -> httpx.Response:
    """One exchange; gives an answer that is no refusal. Raises by the rules above."""
    answer = exchange(client, method, url, content=content, headers=headers, auth=auth, limit=limit)
    if answer.is_redirect or answer.is_client_error:
        raise IssuerError(f"{url} refused: {_said(answer)}", remedy=remedy_for(answer))
    return answer


def retry_after(answer: httpx.Response, now: datetime) -> int | None:
    """Seconds until it is to be asked again (RFC 9110, 10.2.3); None where it does not say."""
    text = answer.headers.get("Retry-After", "")
    if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS:
        return int(text)
    try:
        at = parsedate_to_datetime(text)
        left = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now  # RFC 5322, 3.3: -0000 is UTC
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0, int(left.total_seconds()))


def _later(answer: httpx.Response) -> str:
    """What the server says of when it is to be asked again; nothing where it does not."""
    text = first_line(answer.headers.get("Retry-After", ""))
    if not text:
        return ""
    when = f"in {text} s" if text.isdecimal() else f"after {text}"
    return f"It asks to be asked again {when}: run the same command then."


def _said(answer: httpx.Response) -> str:
    """Status, and the beginning of what a person may read."""
    head = f"{answer.status_code} {answer.reason_phrase}".strip()
    kind = answer.headers.get("Content-Type", "")
    readable = kind.startswith("text/plain") or "json" in kind
    words = first_line(answer.text) if readable else ""
    return f"{head}: {words}" if words else head


def first_line(text: str) -> str:
    """What a server said, on one line, as far as a person reads it."""
    line = " ".join(text.split())[:_MAX_SAID]
    return "".join(character for character in line if character.isprintable())


def remedy_for(answer: httpx.Response) -> str:
    """What to do about a refusal."""
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "Give the station what lets it in: its file in the home's folder issuers/."
    if answer.is_redirect:
        return "Redirections are not followed: write the final address into the profile."
    return _later(answer) or "Ask who runs the authority; then run the same command again."
