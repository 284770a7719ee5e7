"""Certificates as authorities send them: which one is the answer, and which stand above it.

Rules: the answer is the certificate for the key that was asked for, the newest where there are
several. Above it stand those that signed it, one after the other, as far as they came along; each
link's signature is checked. What else came along is left out. An answer that is none of this does
not count, and what was asked may have been done all the same: `IssuerUnanswered`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7

from tokenprov.errors import IssuerError, IssuerUnanswered, StationError
from tokenprov.issuer.requests import Certified

_MAX_CHAIN = 8  # certificates; a path of the Web has three
_REMEDY = "Nothing of it was used. Ask who runs the authority what it answers with."


def certificates_in_pkcs7(der: bytes) -> list[x509.Certificate]:
    """Those in a certs-only message (RFC 8551, 3.8). Raises `IssuerUnanswered`."""
    try:
        return pkcs7.load_der_pkcs7_certificates(der)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as exc:
        raise IssuerUnanswered("the answer is no PKCS#7 of certificates", remedy=_REMEDY) from exc


def certificates_in_pem(pem: bytes) -> list[x509.Certificate]:
    """Those in PEM text (RFC 7468, 5). Raises `IssuerUnanswered`."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as exc:
        raise IssuerUnanswered("the answer holds no certificate in PEM", remedy=_REMEDY) from exc


def certificates_in_file(data: bytes) -> list[x509.Certificate]:
    """Those in a person's file: PEM, PKCS#7 in PEM or DER, one in DER. Raises `IssuerError`."""
    if b"-----BEGIN CERTIFICATE-----" in data:
        return certificates_in_pem(data)
    for load in (
        pkcs7.load_pem_pkcs7_certificates,
        pkcs7.load_der_pkcs7_certificates,
        lambda one: [x509.load_der_x509_certificate(one)],
    ):
        try:
            return load(data)
        except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
            continue
    raise IssuerError("it holds no certificate", remedy=_REMEDY)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may issue others (RFC 5280, 4.2.1.9)."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False


def certificates_above(file: Path | None) -> list[x509.Certificate]:
    """Those in a file of the station's; none without one. Raises `StationError` naming it."""
    if file is None:
        return []
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError, x509.InvalidVersion) as exc:
        raise StationError(
            f"{file} cannot be read as certificates",
            remedy="Put the authority's chain there, in PEM.",
        ) from exc


def certified(public_key: bytes, given: Sequence[x509.Certificate]) -> Certified:
    """The certificate for that key (SubjectPublicKeyInfo, DER) with those above it.

    Raises `IssuerUnanswered` where none of them is for it.
    """
    given = [one for one in given if _is_named(one)]
    own = [one for one in given if spki(one) == public_key]
    if not own:
        raise IssuerUnanswered("the answer holds no certificate for the key", remedy=_REMEDY)
    leaf = max(own, key=lambda one: one.not_valid_before_utc)
    return Certified(
        der=leaf.public_bytes(Encoding.DER),
        chain=tuple(one.public_bytes(Encoding.DER) for one in _above(leaf, given)),
    )


def _is_named(certificate: x509.Certificate) -> bool:
    """Whether it can be read by whom and for whom it is: names are parsed when they are asked."""
    try:
        return bool(certificate.subject is not None and certificate.issuer is not None)
    except ValueError:
        return False


def spki(certificate: x509.Certificate) -> bytes:
    """The public key of a certificate (SubjectPublicKeyInfo, DER); b"" for one unknown here."""
    try:
        return certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _above(leaf: x509.Certificate, given: Sequence[x509.Certificate]) -> Iterable[x509.Certificate]:
    last = leaf
    for _ in range(_MAX_CHAIN):
        if last.subject == last.issuer:
            return
        found = next((one for one in given if one != last and _signed(last, one)), None)
        if found is None:
            return
        yield found
        last = found


def _signed(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    if child.issuer != issuer.subject:
        return False
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
