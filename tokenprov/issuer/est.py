"""Enrollment over Secure Transport (RFC 7030), at est+https://HOST[:PORT]/.well-known/est[/LABEL].

    uri = "est+https://ca.example.test/.well-known/est"
    trust = "server-ca.pem"             # the authority of the server's TLS certificate
    user = "station"                    # HTTP basic, or certificate and key for TLS, or both
    password-file = "est.password"
    crl = "https://ca.example.test/ca.crl"

Rules:
- A request that is sent again is the same to the byte (4.2.3), so that the server knows it.
- "202 Accepted" is waited for as long as `wait` says, and is then an order that waits (4.2.3).
- The certificates above the new one are the server's own word (/cacerts, 4.1), over TLS.
- EST has no revocation: it is done at the authority, and read back from its list.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

import httpx
from cryptography import x509

from tokenprov.errors import IssuerError, IssuerPending, IssuerUnanswered, StationError
from tokenprov.issuer.answers import certificates_in_pkcs7, certified
from tokenprov.issuer.choose import IssuerSettings
from tokenprov.issuer.journalled import Mark
from tokenprov.issuer.listed import read_status
from tokenprov.issuer.protocol import Abilities, CertificateRequest, CertificateStatus
from tokenprov.issuer.requests import Certified
from tokenprov.issuer.settings import File, read, read_secret
from tokenprov.issuer.web import WebSettings, ask, connection, retry_after

_NOTHING_SENT = "No request was sent. Mend that, then run the same command again."
_SHORTEST_WAIT = 1  # second between two askings, where the server does not say
_TYPES = {
    "Content-Type": "application/pkcs10",
    "Content-Transfer-Encoding": "base64",
    "Accept": "application/pkcs7-mime",
}


class EstSettings(WebSettings):
    """What the station's file says of an EST server."""

    user: str = ""
    password_file: File | None = None


def connect(uri: str, settings: IssuerSettings) -> Est:
    """The server of that URI. Raises `StationError` for settings that cannot be used."""
    found = read(EstSettings, settings)
    if found.trust is None:
        raise StationError(
            f"nobody says whom {uri} is trusted for",
            remedy='Write trust = "…" into the station\'s file for it: the authority of the'
            " server's TLS certificate (PEM).",
        )
    return Est(uri.removeprefix("est+").rstrip("/"), found)


class Est:
    """Implements `Authority` over EST."""

    def __init__(
        self, url: str, settings: EstSettings, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._url, self._settings, self._sleep = url, settings, sleep

    @property
    def abilities(self) -> Abilities:
        """Certificates alone; their status where the station knows the list."""
        return Abilities(
            revokes=False,
            holds=False,
            tells_status=self._settings.publishes,
            takes_attestation=False,
            needs_csr=True,
            repeatable=False,
        )

    def enroll(self, request: CertificateRequest, mark: Mark, now: datetime) -> Certified:
        """Send the request (/simpleenroll), the same one as before where one was sent."""
        body = mark.handle or base64.b64encode(request.csr or b"").decode()
        if not mark.handle:
            mark.keep(body)
        password = self._password()
        with connection(self._settings) as client:
            above = self._authorities(client)
            answer = self._post(client, body.encode(), password, now)
            issued = certificates_in_pkcs7(_decoded(answer))
            return certified(request.public_key, [*issued, *above])

    def revoke(self, issued: Certified, reason: x509.ReasonFlags, now: datetime) -> None:
        """Never called: `abilities` says so."""
        raise IssuerError(
            f"{self._url} takes no revocations", remedy="Have it revoked at the authority."
        )

    def status(self, issued: Certified, now: datetime) -> CertificateStatus:
        """By the authority's list."""
        return read_status(self._settings, issued, now)

    def _authorities(self, client: httpx.Client) -> list[x509.Certificate]:
        try:
            return certificates_in_pkcs7(_decoded(ask(client, "GET", f"{self._url}/cacerts")))
        except IssuerUnanswered as error:
            raise IssuerError(f"{error.message} (/cacerts)", remedy=_NOTHING_SENT) from error

    def _post(
        self, client: httpx.Client, body: bytes, password: httpx.BasicAuth | None, now: datetime
    ) -> httpx.Response:
        left = self._settings.wait
        while True:
            answer = ask(
                client,
                "POST",
                f"{self._url}/simpleenroll",
                content=body,
                headers=_TYPES,
                auth=password,
            )
            if answer.status_code != HTTPStatus.ACCEPTED:
                return answer
            seconds = retry_after(answer, now)
            pause = max(_SHORTEST_WAIT, seconds or 0)
            if pause > left:
                raise IssuerPending(
                    f"{self._url} has not decided yet",
                    remedy="Leave the token as it is, and run the same command again later.",
                    retry_after=seconds,
                )
            left -= pause
            self._sleep(pause)

    def _password(self) -> httpx.BasicAuth | None:
        if self._settings.password_file is None:
            return None
        password = read_secret(self._settings.password_file)
        return httpx.BasicAuth(self._settings.user, password.reveal_text())


def _decoded(answer: httpx.Response) -> bytes:
    try:
        return base64.b64decode(b"".join(answer.content.split()), validate=True)  # 4.1.3, 4.2.3
    except ValueError as exc:
        raise IssuerUnanswered(
            f"{answer.url} answered with what is not base64",
            remedy="Check the address: it ends in /.well-known/est, or in a label below it.",
        ) from exc
