"""Answers to OCSP requests (RFC 6960, by the profile of RFC 5019), for one authority.

Rules:
- The authority delegates: answers are signed by a key of the responder's own, whose certificate has
  id-kp-OCSPSigning and id-pkix-ocsp-nocheck, stands among what was issued, and is renewed in time.
- Good is what was issued here and is not revoked, whether on a list or not; unknown is what was not
  issued here. A request about another authority's certificate is unauthorized (RFC 5019, 2.2.3).
- One certificate a request (RFC 5019, 2.1.1); what is no such request is malformed.
- A nonce of 1 to 128 bytes comes back (RFC 9654, 2.1); another makes the request malformed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta

from asn1crypto.keys import PublicKeyInfo
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from tokenprov.errors import StationError
from tokenprov.issuer.ca.certificate import build_responder
from tokenprov.issuer.ca.issued import Issued
from tokenprov.issuer.ca.keys import KeyKind, generate, read_key, write_key
from tokenprov.issuer.ca.local import LocalCa
from tokenprov.secret import RandomBytes

ANSWER_VALIDITY = timedelta(hours=1)
MAX_REQUEST = 16 * 1024  # bytes; a request for one certificate has about a hundred
MAX_NONCE = 128  # bytes, RFC 9654, 2.1
RENEWED_BEFORE = timedelta(days=30)  # the responder's certificate, before it ends
REQUEST_ID = "ocsp-responder"  # its name among what was issued


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, DER; `cacheable` where the same is right for everybody who asks."""

    der: bytes
    cacheable: bool = False


class Responder:
    """Answers for one authority. Safe to use from several threads."""

    def __init__(self, ca: LocalCa, now: datetime, random: RandomBytes = os.urandom) -> None:
        """Raises `StationError` for a key that cannot be used, `DurabilityError`."""
        self._ca, self._random = ca, random
        self._key = _read_or_make(ca)
        self._certificate = self._delegated(now)

    def answer(self, request: bytes, now: datetime) -> Answer:
        """The answer to a request, DER. Raises `StationError` where records cannot be read."""
        try:
            asked = ocsp.load_der_ocsp_request(request)
            nonce = _nonce(asked)
            name_hash, key_hash = _hashes(self._ca.certificate, asked.hash_algorithm)
        except (ValueError, UnsupportedAlgorithm, NotImplementedError):
            return _failed(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        if (asked.issuer_name_hash, asked.issuer_key_hash) != (name_hash, key_hash):
            return _failed(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        if self._certificate.not_valid_after_utc - now < RENEWED_BEFORE:
            self._certificate = self._delegated(now)
        issued = self._ca.issued.with_serial(f"{asked.serial_number:x}")
        builder = self._answered(asked, issued, now.replace(microsecond=0))
        if nonce is not None:
            builder = builder.add_extension(nonce, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return Answer(der=signed.public_bytes(Encoding.DER), cacheable=nonce is None)

    def _answered(
        self, asked: ocsp.OCSPRequest, issued: Issued | None, now: datetime
    ) -> ocsp.OCSPResponseBuilder:
        status, at, reason = ocsp.OCSPCertStatus.UNKNOWN, None, None
        if issued is not None:
            status = ocsp.OCSPCertStatus.GOOD
        if issued is not None and issued.revocation is not None:
            status, at = ocsp.OCSPCertStatus.REVOKED, issued.revocation.at
            if issued.revocation.reason is not x509.ReasonFlags.unspecified:
                reason = issued.revocation.reason
        return (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                algorithm=asked.hash_algorithm,
                cert_status=status,
                this_update=now,
                next_update=now + ANSWER_VALIDITY,
                revocation_time=at,
                revocation_reason=reason,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, self._certificate)
            .certificates([self._certificate])
        )

    def _delegated(self, now: datetime) -> x509.Certificate:
        """The responder's certificate, a new one where the last one ends soon."""
        former = self._ca.issued.of(REQUEST_ID)
        if former and former[-1].revocation is None:
            last = x509.load_der_x509_certificate(former[-1].certificate)
            fits = last.public_key() == self._key.public_key()
            if fits and last.not_valid_after_utc - now >= RENEWED_BEFORE:
                return last
        made = build_responder(
            self._key.public_key(), self._ca.signer, now=now, random=self._random
        )
        self._ca.record(REQUEST_ID, made, now)
        return made


def _read_or_make(ca: LocalCa) -> ec.EllipticCurvePrivateKey:
    path = ca.folder.responder_key
    with ca.folder.writing():
        if not path.exists():
            write_key(path, generate(KeyKind.P256))
    key = read_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise StationError(
            f"{path} is not a P-256 key", remedy="Delete it: the responder makes another."
        )
    return key


def _hashes(authority: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """The hashes that name an authority in a request (RFC 6960, 4.1.1)."""
    bits = authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name, key = hashes.Hash(algorithm), hashes.Hash(algorithm)
    name.update(authority.subject.public_bytes())
    key.update(PublicKeyInfo.load(bits)["public_key"].contents[1:])  # less its unused-bits byte
    return name.finalize(), key.finalize()


def _nonce(asked: ocsp.OCSPRequest) -> x509.OCSPNonce | None:
    try:
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value
    except x509.ExtensionNotFound:
        return None
    if not 1 <= len(nonce.nonce) <= MAX_NONCE:
        raise ValueError("a nonce of a length that there is none of")
    return nonce


def _failed(status: ocsp.OCSPResponseStatus) -> Answer:
    return Answer(
        der=ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
    )
