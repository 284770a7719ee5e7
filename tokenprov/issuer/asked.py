"""Where a certificate stands by what its authority's OCSP responder answers (RFC 6960).

Rules (3.2), each of which an answer must meet to count:
- It is about that certificate, by its serial number and the hashes of its authority.
- It is signed by the authority, or by a responder whose certificate the authority itself signed,
  with id-kp-OCSPSigning, in force (4.2.2.2).
- It is not from later than now, and has not ended; without an end it is from the last five
  minutes.
- The nonce, where one comes back, is the one that was sent (RFC 9654). Responders that prepare
  their answers send none (RFC 5019).
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from tokenprov.errors import IssuerError, IssuerUnanswered
from tokenprov.issuer.protocol import CertificateStatus, Standing
from tokenprov.issuer.web import WebSettings, ask, connection
from tokenprov.secret import RandomBytes

NONCE_SIZE = 32  # bytes, RFC 9654, 2.1
SKEW = timedelta(minutes=5)  # between the clocks here and there
_HEADERS = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
_STANDINGS = {
    ocsp.OCSPCertStatus.GOOD: Standing.GOOD,
    ocsp.OCSPCertStatus.REVOKED: Standing.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN: Standing.UNKNOWN,
}


def ask_responder(
    settings: WebSettings,
    certificate: x509.Certificate,
    authority: x509.Certificate,
    now: datetime,
    random: RandomBytes = os.urandom,
) -> CertificateStatus:
    """Where the certificate stands by the responder at `settings.ocsp`.

    Raises `IssuerUnanswered` where none could be had that counts, `IssuerError` where it refused.
    """
    nonce = random(NONCE_SIZE)
    request = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate, authority, hashes.SHA1())  # RFC 5019, 2.1.1: all know it
        .add_extension(x509.OCSPNonce(nonce), critical=False)
        .build()
        .public_bytes(Encoding.DER)
    )
    with connection(settings) as client:
        answer = ask(client, "POST", settings.ocsp, content=request, headers=_HEADERS)
    return judged(answer.content, certificate, authority, nonce, now)


def judged(
    answer: bytes,
    certificate: x509.Certificate,
    authority: x509.Certificate,
    nonce: bytes,
    now: datetime,
) -> CertificateStatus:
    """What an answer says, if it counts. Raises as `ask_responder`."""
    try:
        found = ocsp.load_der_ocsp_response(answer)
        if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise IssuerError(
                f"the OCSP responder refused: {found.response_status.name.lower()}",
                remedy="Check the address of ocsp in the station's file.",
            )
        _check(found, certificate, authority, nonce, now)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as exc:
        raise _void("cannot be read") from exc
    reason = found.revocation_reason
    revoked = found.certificate_status is ocsp.OCSPCertStatus.REVOKED
    return CertificateStatus(
        standing=_STANDINGS[found.certificate_status],
        reason=(reason or x509.ReasonFlags.unspecified) if revoked else None,
        at=found.revocation_time_utc,
    )


def _check(
    found: ocsp.OCSPResponse,
    certificate: x509.Certificate,
    authority: x509.Certificate,
    nonce: bytes,
    now: datetime,
) -> None:
    asked = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate, authority, found.hash_algorithm)
        .build()
    )
    for here, there in (
        (asked.serial_number, found.serial_number),
        (asked.issuer_name_hash, found.issuer_name_hash),
        (asked.issuer_key_hash, found.issuer_key_hash),
    ):
        if here != there:
            raise _void("is about another certificate")
    if not any(_signed(found, by) for by in _signers(found, authority, now)):
        raise _void("is not signed by the authority or a responder of its own")
    until = found.next_update_utc or found.this_update_utc + SKEW
    if not found.this_update_utc - SKEW <= now < until:
        raise _void(f"is of {found.this_update_utc:%Y-%m-%d %H:%M} UTC, and not of now")
    try:
        returned = found.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return
    if returned != nonce:
        raise _void("was made for another request")


def _signers(
    found: ocsp.OCSPResponse, authority: x509.Certificate, now: datetime
) -> list[x509.Certificate]:
    """Whose signature counts."""
    return [authority, *(one for one in found.certificates if _is_delegated(one, authority, now))]


def _is_delegated(one: x509.Certificate, authority: x509.Certificate, now: datetime) -> bool:
    try:
        one.verify_directly_issued_by(authority)
        usages = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    in_force = one.not_valid_before_utc <= now <= one.not_valid_after_utc
    return ExtendedKeyUsageOID.OCSP_SIGNING in usages and in_force


def _signed(found: ocsp.OCSPResponse, by: x509.Certificate) -> bool:
    key, signature, signed = by.public_key(), found.signature, found.tbs_response_bytes
    digest = found.signature_hash_algorithm
    try:
        match key, digest:
            case ec.EllipticCurvePublicKey(), hashes.HashAlgorithm():
                key.verify(signature, signed, ec.ECDSA(digest))
            case rsa.RSAPublicKey(), hashes.HashAlgorithm():
                key.verify(signature, signed, padding.PKCS1v15(), digest)
            case ed25519.Ed25519PublicKey(), None:
                key.verify(signature, signed)
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _void(why: str) -> IssuerUnanswered:
    return IssuerUnanswered(
        f"the OCSP responder's answer {why}",
        remedy="Run it again; if it stays so, ask the authority, and have its list read instead.",
    )
