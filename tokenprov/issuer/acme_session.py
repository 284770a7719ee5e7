"""A conversation with an ACME server (RFC 8555): directory, nonces, the account, signed requests.

Rules: a request whose nonce the server no longer takes is sent again with the one that it gave
(6.5); the account is the one of the key, made at the first time (7.3); no address that the server
gives leads out of TLS (6.1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.errors import IssuerError
from tokenprov.issuer.jose import bound, jwk, signed
from tokenprov.issuer.web import ask, exchange, first_line, remedy_for
from tokenprov.model import Json
from tokenprov.secret import Secret

T = TypeVar("T")
_PREFIX = "urn:ietf:params:acme:error:"
_TRIES = 3  # with nonces that the server refuses
_TYPE = {"Content-Type": "application/jose+json"}
_ASK = "Ask who runs the authority; then run the same command again."


class Problem(IssuerError):
    """What an ACME server refused, by its type (RFC 7807; RFC 8555, 6.7)."""

    def __init__(self, where: str, document: Mapping[str, Json], remedy: str = _ASK) -> None:
        self.kind = str(document.get("type", "")).removeprefix(_PREFIX)
        below = document.get("subproblems")
        parts = [document, *(below if isinstance(below, list) else ())]
        details = "; ".join(
            str(part["detail"]) for part in parts if isinstance(part, dict) and part.get("detail")
        )
        said = first_line(": ".join(filter(None, (self.kind, details))))
        super().__init__(f"{where} refused: {said}", remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an authority gave to whoever may have an account with it (7.3.4)."""

    kid: str
    secret: Secret


class AcmeSession:
    """One conversation. What it raises is what `web` says, and `Problem`."""

    def __init__(
        self, client: httpx.Client, directory: str, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._client, self._key = client, key
        self._directory = _document(ask(client, "GET", directory))
        self._account = ""
        self._nonce = ""

    def url(self, resource: str) -> str:
        """Where a resource is (7.1.1). Raises `IssuerError` where the server has none."""
        return text(self._directory, resource)

    def enter(self, contact: tuple[str, ...], binding: Binding | None) -> None:
        """Find the account of the key, or make it, agreeing to the server's terms (7.3)."""
        url = self.url("newAccount")
        payload: dict[str, Json] = {"termsOfServiceAgreed": True}
        if contact:
            payload["contact"] = list(contact)
        if binding is not None:
            payload["externalAccountBinding"] = bound(self._key, binding.kid, binding.secret, url)
        self._account = location(self.post(url, payload))

    def post(self, url: str, payload: Json) -> httpx.Response:
        """A signed request; None for `payload` reads (6.3)."""
        for tried in range(_TRIES):
            who: dict[str, Json] = (
                {"kid": self._account} if self._account else {"jwk": jwk(self._key)}
            )
            protected = {"nonce": self._next_nonce(), "url": url, **who}
            content = json.dumps(signed(self._key, protected, payload)).encode()
            answer = exchange(self._client, "POST", _secure(url), content=content, headers=_TYPE)
            self._nonce = answer.headers.get("Replay-Nonce", "")
            if answer.is_success:
                return answer
            problem = Problem(url, _document(answer), remedy_for(answer))
            if problem.kind != "badNonce" or tried == _TRIES - 1:
                raise problem
        raise AssertionError("the loop ends by itself")

    def read(self, url: str) -> tuple[dict[str, Json], httpx.Response]:
        """A resource as it stands."""
        answer = self.post(url, None)
        return _document(answer), answer

    def _next_nonce(self) -> str:
        if not self._nonce:
            answer = ask(self._client, "HEAD", _secure(self.url("newNonce")))
            self._nonce = answer.headers.get("Replay-Nonce", "")
        nonce, self._nonce = self._nonce, ""
        return nonce


def _secure(url: str) -> str:
    """The address, if it is one of HTTPS. Raises `IssuerError`: what is sent is for the server."""
    if not url.startswith("https://"):
        raise IssuerError(
            f"the ACME server gave {first_line(url)!r}, which is not HTTPS", remedy=_ASK
        )
    return url


def text(document: Mapping[str, Json], member: str) -> str:
    """A member that must be there. Raises `IssuerError` for a server that leaves it out."""
    found = document.get(member)
    if not isinstance(found, str) or not found:
        raise IssuerError(f"the ACME server told no {member}", remedy=_ASK)
    return found


def members(document: Mapping[str, Json], member: str, kind: type[T]) -> list[T]:
    """A member that must be a list of these. Raises `IssuerError` where it is not."""
    found = document.get(member)
    if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
        raise IssuerError(f"the ACME server told no {member}", remedy=_ASK)
    return found


def location(answer: httpx.Response) -> str:
    """Where what was made is (7.3, 7.4). Raises `IssuerError` for a server that does not say."""
    return text({"Location": answer.headers.get("Location")}, "Location")


def _document(answer: httpx.Response) -> dict[str, Json]:
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise IssuerError(
            f"{answer.url} answered {answer.status_code} with what is no ACME",
            remedy="Check the address: it is the server's directory.",
        )
    return found
