"""What an authority publishes of a certificate: read back from its list (RFC 5280, 5).

Rules: a list counts when the authority signed it. What is not on it is good, as far as the list
goes: whether the authority issued it at all is for who keeps its certificates to say.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from tokenprov.errors import IssuerError
from tokenprov.issuer.protocol import CertificateStatus, Standing


def status_in_crl(crl: bytes, authority: x509.Certificate, serial_hex: str) -> CertificateStatus:
    """Where a certificate of `authority` stands by a list (DER).

    Raises `IssuerError` where the list is unreadable or not the authority's.
    """
    try:
        found = x509.load_der_x509_crl(crl)
        signed = found.issuer == authority.subject and found.is_signature_valid(
            authority.public_key()  # type: ignore[arg-type] # a key that signs, or TypeError
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise _refused("is not readable", authority) from exc
    if not signed:
        raise _refused("is not signed by it", authority)
    entry = found.get_revoked_certificate_by_serial_number(int(serial_hex, 16))
    if entry is None:
        return CertificateStatus(standing=Standing.GOOD)
    return CertificateStatus(
        standing=Standing.REVOKED, reason=_reason(entry), at=entry.revocation_date_utc
    )


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return x509.ReasonFlags.unspecified  # RFC 5280, 5.3.1: then the extension is left out


def _refused(why: str, authority: x509.Certificate) -> IssuerError:
    name = authority.subject.rfc4514_string()
    return IssuerError(
        f"the list of revoked certificates of {name} {why}",
        remedy="Fetch it again; if it stays so, ask the authority.",
    )
