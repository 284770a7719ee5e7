"""What an authority published of a certificate, from where the station is told: OCSP, or a list."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.errors import IssuerError, IssuerUnanswered
from tokenprov.issuer.asked import ask_responder
from tokenprov.issuer.protocol import CertificateStatus
from tokenprov.issuer.published import status_in_lists
from tokenprov.issuer.requests import Certified
from tokenprov.issuer.web import MAX_LIST, WebSettings, ask, connection

_PEM = b"-----BEGIN"


def read_status(settings: WebSettings, issued: Certified, now: datetime) -> CertificateStatus:
    """Where a certificate stands by the responder at `settings.ocsp`, else the list at `crl`.

    A list must be there and in force. Raises `IssuerUnanswered` where what counts cannot be had,
    `IssuerError` where it is not the authority's.
    """
    if not issued.chain:
        raise IssuerError(
            f"certificate {issued.serial_hex} came without its authority's own",
            remedy="Have the authority send its chain: the list is checked by it.",
        )
    certificate = x509.load_der_x509_certificate(issued.der)
    authority = x509.load_der_x509_certificate(issued.chain[0])
    if settings.ocsp:
        return ask_responder(settings, certificate, authority, now)
    whole = _fetched(settings)
    return status_in_lists(whole, None, authority, issued.serial_hex, now, certificate)


def _fetched(settings: WebSettings) -> bytes:
    if "://" in settings.crl:
        with connection(settings) as client:
            data = ask(client, "GET", settings.crl, limit=MAX_LIST).content
    else:
        try:
            data = Path(settings.crl).read_bytes()
        except OSError as exc:
            raise IssuerUnanswered(
                f"{settings.crl} cannot be read: {exc.strerror}",
                remedy="Put the authority's list of revoked certificates there.",
            ) from exc
    return _der(data, settings.crl)


def _der(data: bytes, where: str) -> bytes:
    if not data.startswith(_PEM):
        return data
    try:
        return x509.load_pem_x509_crl(data).public_bytes(Encoding.DER)
    except ValueError as exc:
        raise IssuerError(f"{where} is no list in PEM", remedy="Ask the authority for it.") from exc
