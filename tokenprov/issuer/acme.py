"""ACME with device attestation (RFC 8555, draft-ietf-acme-device-attest), at acme+https://….

    uri = "acme+https://ca.example.test/acme/piv/directory"
    trust = "server-ca.pem"             # the authority of the server's TLS certificate
    account-key = "acme.key"            # drawn at the first time
    contact = ["mailto:desk@example.test"]
    binding = "station-7"               # external account binding: its name,
    binding-file = "acme.binding"       # and its key, base64url, as the authority gave it
    names-token = true                  # the token's serial stands in the request, too

The order is for the token: a permanent-identifier, its serial number. The challenge
device-attest-01 is met by an attestation object (WebAuthn, 6.5.4) of the format "step": the
attestation of the key with what leads to the maker's root, and the key's signature over the key
authorization. Then the same key is certified.

Rules:
- The order's address is on the disk before anything else is sent for it. It is taken up again
  after whatever happened, so that one order gives one certificate.
- A key without attestation, or on a token without a serial, is not asked for.
- By sending for a certificate the station agrees to the server's terms of service.
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
    load_pem_private_key,
)
from fido2 import cbor

from tokenprov.errors import IssuerError, IssuerPending, StationError
from tokenprov.issuer.acme_session import (
    AcmeSession,
    Binding,
    Problem,
    location,
    members,
    text,
)
from tokenprov.issuer.answers import certificates_in_pem, certified
from tokenprov.issuer.choose import IssuerSettings
from tokenprov.issuer.jose import base64url, thumbprint
from tokenprov.issuer.journalled import Mark
from tokenprov.issuer.listed import read_status
from tokenprov.issuer.protocol import Abilities, CertificateRequest, CertificateStatus
from tokenprov.issuer.reasons import REASON_CODES
from tokenprov.issuer.requests import Certified
from tokenprov.issuer.settings import File, read, read_secret
from tokenprov.issuer.web import WebSettings, connection, retry_after
from tokenprov.model import Json
from tokenprov.record.files import create_durable
from tokenprov.secret import Secret

CHALLENGE, IDENTIFIER = "device-attest-01", "permanent-identifier"
FORMAT = "step"  # the one that servers know for PIV attestation
_SHORTEST_WAIT = 1  # second between two askings, where the server does not say
_ASK = "Ask who runs the authority; then run the same command again."


class AcmeSettings(WebSettings):
    """What the station's file says of an ACME server."""

    account_key: File
    contact: tuple[str, ...] = ()
    binding: str = ""
    binding_file: File | None = None
    names_token: bool = True


def connect(uri: str, settings: IssuerSettings) -> Acme:
    """The server of that URI. Raises `StationError` for settings that cannot be used."""
    return Acme(uri.removeprefix("acme+"), read(AcmeSettings, settings))


class Acme:
    """Implements `Authority` over ACME."""

    def __init__(
        self, url: str, settings: AcmeSettings, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._url, self._settings, self._sleep = url, settings, sleep

    @property
    def abilities(self) -> Abilities:
        """Certificates for attested keys, and revocation; status where the list is known."""
        return Abilities(
            revokes=True,
            holds=False,
            tells_status=self._settings.publishes,
            takes_attestation=True,
            needs_csr=True,
            repeatable=True,
            names_token=self._settings.names_token,
        )

    def enroll(self, request: CertificateRequest, mark: Mark, now: datetime) -> Certified:
        """Take the order up where it stands, or make one, and bring it to its end."""
        if not request.attestation_chain or not request.token_serial or request.sign is None:
            raise IssuerError(
                f"nothing attests the key of {request.request_id} to {self._url}",
                remedy='Use a token that attests its keys, with attestation = "required".',
            )
        key = self._account_key()
        with connection(self._settings) as client:
            session = AcmeSession(client, self._url, key)
            session.enter(self._settings.contact, self._binding())
            order = self._order(session, request.token_serial, mark)
            left, finalized = self._settings.wait, False
            while True:
                document, answer = session.read(order)
                match document.get("status"):
                    case "pending":
                        for authorization in members(document, "authorizations", str):
                            self._prove(session, authorization, request, key)
                    case "ready" if not finalized:
                        csr = base64url(request.csr or b"")
                        session.post(text(document, "finalize"), {"csr": csr})
                        finalized = True
                        continue
                    case "valid":
                        chain = session.post(text(document, "certificate"), None).content
                        return certified(request.public_key, certificates_in_pem(chain))
                    case "invalid":
                        raise Problem(order, self._why_invalid(session, document))
                seconds = retry_after(answer, now)
                left = self._pause(left, seconds, order)

    def revoke(self, issued: Certified, reason: x509.ReasonFlags, now: datetime) -> None:
        """Have it revoked (RFC 8555, 7.6); one that is revoked stays so."""
        with connection(self._settings) as client:
            session = AcmeSession(client, self._url, self._account_key())
            session.enter(self._settings.contact, self._binding())
            payload = {"certificate": base64url(issued.der), "reason": REASON_CODES[reason]}
            try:
                session.post(session.url("revokeCert"), payload)
            except Problem as problem:
                if problem.kind != "alreadyRevoked":
                    raise

    def status(self, issued: Certified, now: datetime) -> CertificateStatus:
        """By the authority's list."""
        return read_status(self._settings, issued, now)

    def _order(self, session: AcmeSession, serial: str, mark: Mark) -> str:
        """The address of the order: the one that was kept, unless it came to nothing."""
        if mark.handle:
            try:
                document, _ = session.read(mark.handle)
                if document.get("status") != "invalid":
                    return mark.handle
            except Problem:  # the server forgot it: orders end (7.1.3)
                pass
        identifiers = [{"type": IDENTIFIER, "value": serial}]
        answer = session.post(session.url("newOrder"), {"identifiers": identifiers})
        order = location(answer)
        mark.keep(order)
        return order

    def _prove(
        self,
        session: AcmeSession,
        authorization: str,
        request: CertificateRequest,
        key: ec.EllipticCurvePrivateKey,
    ) -> None:
        """Meet the challenge of an authorization that is not decided."""
        document, _ = session.read(authorization)
        if document.get("status") != "pending":
            return
        offered = members(document, "challenges", dict)
        challenge = next((one for one in offered if one.get("type") == CHALLENGE), None)
        if challenge is None:
            raise IssuerError(f"{self._url} does not offer {CHALLENGE}", remedy=_ASK)
        if challenge.get("status") != "pending":
            return  # it was met, and is looked at
        authorized = f"{text(challenge, 'token')}.{thumbprint(key)}"  # RFC 8555, 8.1
        attested = attestation_object(request, authorized.encode())
        session.post(text(challenge, "url"), {"attObj": base64url(attested)})

    def _why_invalid(self, session: AcmeSession, order: Mapping[str, Json]) -> Mapping[str, Json]:
        """What went wrong: the order says it, or a challenge does (RFC 8555, 7.1.3 and 8)."""
        with contextlib.suppress(IssuerError):
            for place in (order, *self._challenges(session, order)):
                error = place.get("error")
                if isinstance(error, dict):
                    return error
        return {"detail": "it does not say why"}

    def _challenges(
        self, session: AcmeSession, order: Mapping[str, Json]
    ) -> Iterator[Mapping[str, Json]]:
        for authorization in members(order, "authorizations", str):
            document, _ = session.read(authorization)
            yield from members(document, "challenges", dict)

    def _pause(self, left: float, seconds: int | None, order: str) -> float:
        pause = max(_SHORTEST_WAIT, seconds or 0)
        if pause > left:
            raise IssuerPending(
                f"{order} is not decided yet",
                remedy="Leave the token as it is, and run the same command again later.",
                retry_after=seconds,
            )
        self._sleep(pause)
        return left - pause

    def _binding(self) -> Binding | None:
        if not self._settings.binding or self._settings.binding_file is None:
            return None
        given = read_secret(self._settings.binding_file).reveal()
        try:
            secret = base64.urlsafe_b64decode(given + b"=" * (-len(given) % 4))
        except ValueError:
            raise StationError(
                f"{self._settings.binding_file} is not base64url",
                remedy="Write the key into it as the authority gave it.",
            ) from None  # what cannot be decoded is a secret
        return Binding(kid=self._settings.binding, secret=Secret(secret))

    def _account_key(self) -> ec.EllipticCurvePrivateKey:
        """The key of the station's account; drawn where there is none."""
        path = self._settings.account_key
        if not path.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            with contextlib.suppress(FileExistsError):  # another token's turn was quicker
                create_durable(path, pem, mode=0o600)
        try:
            key = load_pem_private_key(read_secret(path).reveal(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise StationError(
                f"{path} is no account's key: PEM, PKCS#8, on P-256, without a passphrase",
                remedy="Restore it from a backup, or name a file that is not there: one is drawn.",
            )
        return key


def attestation_object(request: CertificateRequest, authorized: bytes) -> bytes:
    """The attestation object for a key authorization: CBOR, without authData, as the draft says."""
    if request.sign is None:
        raise IssuerError("the key is not there to sign", remedy="Put the token in again.")
    statement: dict[str, Json] = {
        "alg": _algorithm(request.public_key),
        # the server that the format is from takes the signature as CBOR within CBOR
        "sig": cbor.encode(request.sign(authorized)),
        "x5c": list(request.attestation_chain),
    }
    return cbor.encode({"fmt": FORMAT, "attStmt": statement})


def _algorithm(public_key: bytes) -> int:
    """The COSE algorithm that the key signs with (RFC 9053, 2.1, 2.2; RFC 8812, 2)."""
    match load_der_public_key(public_key):
        case ec.EllipticCurvePublicKey() as key:
            return -35 if key.curve.key_size == 384 else -7
        case rsa.RSAPublicKey():
            return -257
        case ed25519.Ed25519PublicKey():
            return -8
    raise IssuerError("the key cannot sign", remedy="Choose another algorithm in the profile.")
