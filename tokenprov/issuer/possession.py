"""Proof of possession: the key that is to be certified is held where the request says.

Rules (RFC 4211, 4: an authority checks it):
- There is a certification request (PKCS#10) or an attestation, or both; each that is there holds.
- A certification request is for the same key, and its signature is by that key (RFC 2986).
- An attestation is for the same key; where token and attestation tell a serial number, they tell
  the same. That it leads to a trusted root was checked when it was read (`attestation.piv`).
- An authority may demand an attestation: then it must be there, and name the token's serial number.
"""

from __future__ import annotations

from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.errors import AttestationError, IssuerError
from tokenprov.issuer.protocol import CertificateRequest

_REMEDY = "Nothing was issued. Set the token aside and find out whose key this is."


class Demand(StrEnum):
    """What an authority asks for beside proof of possession."""

    IF_PRESENT = "if-present"  # an attestation counts where there is one
    REQUIRED = "required"  # the token must attest the key, with its serial number


def on_hold(request_id: str, serial_hex: str) -> IssuerError:
    """What is said of a request whose certificate is there, and may not be used for now."""
    return IssuerError(
        f"the certificate {serial_hex} for {request_id} is on hold",
        remedy="Resume the token it is on: tokenprov resume; or make a new key in that slot.",
    )


def check_possession(request: CertificateRequest, attestation: Demand = Demand.IF_PRESENT) -> None:
    """Raises `IssuerError` where nothing proves who holds the key, or something disproves it."""
    if attestation is Demand.REQUIRED:
        _require_attestation(request)
    if request.csr is None and request.attestation is None:
        raise IssuerError(
            f"the request {request.request_id} proves possession of no key",
            remedy="Ask with an attestation of the key, or a request signed with it.",
        )
    if request.csr is not None:
        _check_csr(request.csr, request.public_key, request.request_id)
    if request.attestation is not None:
        try:
            request.attestation.require(serial=request.token_serial, public_key=request.public_key)
        except AttestationError as error:
            raise IssuerError(
                f"the request {request.request_id} does not fit its attestation: {error.message}",
                remedy=_REMEDY,
            ) from error


def _require_attestation(request: CertificateRequest) -> None:
    if request.attestation is None:
        raise IssuerError(
            f"the request {request.request_id} has no attestation, which this authority demands",
            remedy="Use a token that attests its keys, or an authority that takes others.",
        )
    if request.attestation.serial is None or request.token_serial is None:
        raise IssuerError(
            f"nothing says by which token the key of {request.request_id} was made",
            remedy="Use a token that shows its serial number, or an authority that takes others.",
        )


def _check_csr(csr: bytes, public_key: bytes, request_id: str) -> None:
    try:
        parsed = x509.load_der_x509_csr(csr)
        theirs = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        signed = parsed.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as exc:
        raise IssuerError(
            f"the request {request_id} holds no readable PKCS#10", remedy=_REMEDY
        ) from exc
    if theirs != public_key:
        raise IssuerError(f"the request {request_id} is signed for another key", remedy=_REMEDY)
    if not signed:
        raise IssuerError(
            f"the signature of the request {request_id} does not verify", remedy=_REMEDY
        )
