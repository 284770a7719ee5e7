"""An ACME server for tests with device-attest-01, and nothing else. It is not for use.

There is no such server in Debian or on PyPI, so this is one of our own, to RFC 8555 and
draft-ietf-acme-device-attest: certbot's josepy checks signatures and thumbprints, OpenSSL the
attestation's chain and the certificates. `behaviours` say, one an order that is made or a
certificate that is asked for, what else happens: `slow` leaves the order in processing for one
look, `undecided` for an hour, `lost` cuts the connection once the certificate was made, `refused`
finds the attestation wrong, `without-MEMBER` leaves a member out of the order. Every third nonce is
refused as stale.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import josepy
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2 import cbor

from tests.https import make_authority, make_tls, serving_https
from tests.issued import openssl
from tests.servers import HOST

OID_SERIAL = "1.3.6.1.4.1.41482.3.7"
OID_PERMANENT_IDENTIFIER = "1.3.6.1.5.5.7.8.3"
ERROR = "urn:ietf:params:acme:error:"
Json = dict[str, Any]


class Refused(Exception):
    """A problem document (RFC 8555, 6.7)."""

    def __init__(self, kind: str, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.document = {"type": f"{ERROR}{kind}", "detail": detail, "status": status}


class Lost(Exception):
    """The connection is cut."""


@dataclass
class AcmeServer:
    """What the server knows; files lie in `folder`, `roots` are those that attestations end at."""

    folder: Path
    roots: Path
    port: int = 0
    binding: tuple[str, bytes] | None = None  # which accounts must have
    behaviours: list[str] = field(default_factory=list)
    accounts: dict[str, josepy.JWK] = field(default_factory=dict)
    orders: dict[str, Json] = field(default_factory=dict)
    challenges: dict[str, Json] = field(default_factory=dict)
    revoked: list[tuple[int, int]] = field(default_factory=list)  # serial number, reason
    made: int = 0  # certificates
    stale: int = 0  # nonces that were refused
    _nonces: set[str] = field(default_factory=set)
    _given: int = 0

    @property
    def base(self) -> str:
        """Where it is."""
        return f"https://{HOST}:{self.port}"

    @property
    def directory(self) -> str:
        """Where a client begins."""
        return f"{self.base}/directory"

    def nonce(self) -> str:
        """A fresh nonce; every third one is stale when it comes back."""
        self._given += 1
        made = secrets.token_urlsafe(16)
        if self._given % 3:
            self._nonces.add(made)
        return made

    def open(self, path: str, body: bytes) -> tuple[Json, str, josepy.JWK]:
        """Payload, account and key of a signed request, checked (6.2 to 6.5)."""
        jws = josepy.JWS.from_json(json.loads(body))
        (signature,) = jws.signatures
        protected = json.loads(signature.protected)
        if protected["url"] != f"{self.base}{path}":
            raise Refused("unauthorized", "the url is another one", 401)
        if protected["nonce"] not in self._nonces:
            self.stale += 1
            raise Refused("badNonce", "stale")
        self._nonces.remove(protected["nonce"])
        account = protected.get("kid", "")
        key = self.accounts[account] if account else josepy.JWK.from_json(protected["jwk"])
        if not signature.verify(jws.payload, key):
            raise Refused("malformed", "the signature does not verify")
        payload = json.loads(jws.payload) if jws.payload else {}
        return payload, account, key

    def new_account(self, payload: Json, key: josepy.JWK) -> tuple[Json, str]:
        """The account of a key (7.3)."""
        if self.binding is not None:
            self._check_binding(payload.get("externalAccountBinding"), key)
        url = f"{self.base}/account/{thumbprint(key)}"
        self.accounts[url] = key
        return {"status": "valid"}, url

    def _check_binding(self, given: Json | None, key: josepy.JWK) -> None:
        assert self.binding is not None
        if given is None:
            raise Refused("externalAccountRequired", "who are you?", 403)
        jws = josepy.JWS.from_json(given)
        (signature,) = jws.signatures
        protected = json.loads(signature.protected)
        kid, secret = self.binding
        if (
            protected != {"alg": "HS256", "kid": kid, "url": f"{self.base}/new-account"}
            or not signature.verify(jws.payload, josepy.JWKOct(key=secret))
            or josepy.JWK.from_json(json.loads(jws.payload)) != key
        ):
            raise Refused("unauthorized", "the binding does not hold", 403)

    def new_order(self, payload: Json) -> tuple[Json, str]:
        """An order for one token (7.4)."""
        (identifier,) = payload["identifiers"]
        if identifier["type"] != "permanent-identifier":
            raise Refused("unsupportedIdentifier", identifier["type"])
        name = secrets.token_urlsafe(8)
        url, behaviour = f"{self.base}/order/{name}", self._behaviour()
        self.challenges[name] = {
            "type": "device-attest-01",
            "url": f"{self.base}/challenge/{name}",
            "status": "pending",
            "token": secrets.token_urlsafe(16),
        }
        self.orders[name] = {
            "status": "pending",
            "identifiers": [identifier],
            "authorizations": [f"{self.base}/authorization/{name}"],
            "finalize": f"{self.base}/finalize/{name}",
            "behaviour": behaviour,
        }
        return self.orders[name], url

    def answer(self, name: str, payload: Json, key: josepy.JWK) -> Json:
        """An answer to a challenge: the order is ready or invalid after it."""
        challenge, order = self.challenges[name], self.orders[name]
        try:
            if order["behaviour"].startswith("refused"):
                raise Refused("badAttestationStatement", "this maker is not known here")
            order["attested"] = self._attested(
                cbor.decode(from_base64url(payload["attObj"])),
                f"{challenge['token']}.{thumbprint(key)}".encode(),
                order["identifiers"][0]["value"],
            )
            challenge["status"], order["status"] = "valid", "ready"
        except Refused as refused:
            challenge |= {"status": "invalid", "error": refused.document}
            order["status"] = "invalid"
            if order["behaviour"] != "refused-elsewhere":  # some tell it of the challenge alone
                order["error"] = refused.document
        return challenge

    def _attested(self, found: Json, authorized: bytes, serial: str) -> bytes:
        """The key that an attestation object is for (SubjectPublicKeyInfo)."""
        if found["fmt"] != "step" or set(found) - {"fmt", "attStmt"}:
            raise Refused("badAttestationStatement", "not of the format step, or with authData")
        statement = found["attStmt"]
        leaf, *between = [x509.load_der_x509_certificate(one) for one in statement["x5c"]]
        (self.folder / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
        (self.folder / "between.pem").write_bytes(
            b"".join(one.public_bytes(Encoding.PEM) for one in between)
        )
        verify = ("openssl", "verify", "-CAfile", str(self.roots), "-untrusted", "between.pem")
        checked = subprocess.run(
            [*verify, "leaf.pem"], cwd=self.folder, capture_output=True, text=True, check=False
        )
        if checked.returncode != 0:
            raise Refused("badAttestationStatement", checked.stderr)
        named = [one for one in leaf.extensions if one.oid.dotted_string == OID_SERIAL]
        if int.from_bytes(named[0].value.value[2:]) != int(serial):
            raise Refused("badAttestationStatement", "the attestation is by another token")
        check_signature(leaf, statement["alg"], cbor.decode(statement["sig"]), authorized)
        return leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def finalize(self, name: str, payload: Json) -> Json:
        """Certify the attested key (7.4)."""
        order = self.orders[name]
        if order["status"] != "ready":
            raise Refused("orderNotReady", order["status"], 403)
        csr = x509.load_der_x509_csr(from_base64url(payload["csr"]))
        key = csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if not csr.is_signature_valid or key != order["attested"]:
            raise Refused("badCSR", "it is for another key than the attested one")
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        values = [
            one.value[4:].decode()
            for one in names
            if isinstance(one, x509.OtherName)
            and one.type_id.dotted_string == OID_PERMANENT_IDENTIFIER
        ]
        if values != [order["identifiers"][0]["value"]]:
            raise Refused("badCSR", "it does not name the token")
        (self.folder / "in.csr").write_bytes(csr.public_bytes(Encoding.DER))
        sign = f"x509 -req -inform DER -in in.csr -CA ca.pem -CAkey ca.key -days 20 -out {name}.pem"
        openssl(*sign.split(), "-copy_extensions", "copyall", folder=self.folder)
        self.made += 1
        order |= {"status": "processing", "certificate": f"{self.base}/certificate/{name}"}
        if order["behaviour"] == "lost":
            order["behaviour"] = ""
            order["status"] = "valid"
            raise Lost
        if order["behaviour"] not in ("slow", "undecided"):
            order["status"] = "valid"
        return order

    def look(self, name: str) -> tuple[Json, int | None]:
        """An order as it stands, and when it is to be looked at again."""
        order = self.orders[name]
        shown = {key: value for key, value in order.items() if key not in ("behaviour", "attested")}
        if order["behaviour"].startswith("without-"):
            shown.pop(order["behaviour"].removeprefix("without-"), None)
        if order["status"] == "processing":
            if order["behaviour"] == "undecided":
                return shown, 3600
            order["status"] = "valid"
        return shown, None

    def revoke(self, payload: Json) -> None:
        """Revoke (7.6)."""
        certificate = x509.load_der_x509_certificate(from_base64url(payload["certificate"]))
        if certificate.serial_number in [serial for serial, _ in self.revoked]:
            raise Refused("alreadyRevoked", "again")
        self.revoked.append((certificate.serial_number, payload["reason"]))

    def chain(self, name: str) -> bytes:
        """A certificate and what stands above it (7.4.2)."""
        return (self.folder / f"{name}.pem").read_bytes() + (self.folder / "ca.pem").read_bytes()

    def _behaviour(self) -> str:
        return self.behaviours.pop(0) if self.behaviours else ""


def thumbprint(key: josepy.JWK) -> str:
    """RFC 7638, by josepy."""
    return base64.urlsafe_b64encode(key.thumbprint()).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Without padding, and strictly (RFC 8555, 6.1)."""
    assert re.fullmatch(r"[A-Za-z0-9_-]*", text)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check_signature(leaf: x509.Certificate, alg: int, signature: bytes, message: bytes) -> None:
    """The attested key signed the key authorization."""
    key = leaf.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and alg == -7:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey) and alg == -257:
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        else:
            raise Refused("badAttestationStatement", f"algorithm {alg} is not the key's")
    except InvalidSignature as exc:
        raise Refused("badAttestationStatement", "the signature does not verify") from exc


@contextmanager
def acme_server(folder: Path, roots: Path) -> Iterator[AcmeServer]:
    """Serve while entered, on a free port of the loopback."""
    state = AcmeServer(folder=folder, roots=roots)
    make_authority(folder, "ca")
    make_tls(folder)
    with serving_https(folder, _handler(state)) as port:
        state.port = port
        yield state


def _handler(state: AcmeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One exchange."""

        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._send(200 if self.path == "/new-nonce" else 404, b"")

        def do_GET(self) -> None:
            names = ("newNonce", "newAccount", "newOrder", "revokeCert")
            paths = {name: re.sub("([A-Z])", r"-\1", name).lower() for name in names}
            urls = {name: f"{state.base}/{path}" for name, path in paths.items()}
            self._json(200 if self.path == "/directory" else 404, urls)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self._act(*state.open(self.path, body))
            except Refused as refused:
                self._json(refused.document["status"], refused.document)
            except Lost:
                self.close_connection = True

        def _act(self, payload: Json, account: str, key: josepy.JWK) -> None:
            _, what, *rest = self.path.split("/")
            name = rest[0] if rest else ""
            if what != "new-account" and not account:
                raise Refused("unauthorized", "no account", 401)
            match what:
                case "new-account":
                    document, location = state.new_account(payload, key)
                    self._json(201, document, Location=location)
                case "new-order":
                    document, location = state.new_order(payload)
                    self._json(201, document, Location=location)
                case "order":
                    if name not in state.orders:
                        raise Refused("malformed", "no such order", 404)
                    document, seconds = state.look(name)
                    more = {} if seconds is None else {"Retry-After": str(seconds)}
                    self._json(200, document, **more)
                case "authorization":
                    challenge = state.challenges[name]
                    document = {"status": challenge["status"], "challenges": [challenge]}
                    self._json(200, document)
                case "challenge":
                    self._json(200, state.answer(name, payload, key))
                case "finalize":
                    self._json(200, state.finalize(name, payload))
                case "certificate":
                    self._send(200, state.chain(name), "application/pem-certificate-chain")
                case "revoke-cert":
                    state.revoke(payload)
                    self._send(200, b"")
                case _:
                    raise Refused("malformed", "no such resource", 404)

        def _json(self, status: int, document: Json, **headers: str) -> None:
            shown = {k: v for k, v in document.items() if k not in ("behaviour", "attested")}
            self._send(status, json.dumps(shown).encode(), "application/json", **headers)

        def _send(self, status: int, body: bytes, kind: str = "", **headers: str) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Replay-Nonce", state.nonce())
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing is said."""

    return Handler
