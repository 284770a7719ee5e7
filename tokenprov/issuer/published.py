"""What an authority publishes of a certificate: read back from its list (RFC 5280, 5).

Rules: a list counts when the authority signed it, until it ends; a delta goes before the whole list
that it is to (5.2.4). What is on neither is good, as far as lists go: whether the authority issued
it at all is for who keeps its certificates to say.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from tokenprov.errors import IssuerError, IssuerUnanswered
from tokenprov.issuer.protocol import CertificateStatus, Standing


def status_in_lists(
    whole: bytes,
    delta: bytes | None,
    authority: x509.Certificate,
    serial_hex: str,
    now: datetime,
) -> CertificateStatus:
    """Where a certificate of `authority` stands by its lists (DER).

    Raises `IssuerError` where a list is unreadable or not the authority's, and for a delta to
    another whole list; `IssuerUnanswered` for one that ended.
    """
    serial, lists = int(serial_hex, 16), [_load(whole, authority, now)]
    if delta is not None:
        lists.insert(0, _load_delta(delta, lists[0], authority, now))
    entries = (one.get_revoked_certificate_by_serial_number(serial) for one in lists)
    entry = next(filter(None, entries), None)
    if entry is None or reason_of(entry) is x509.ReasonFlags.remove_from_crl:
        return CertificateStatus(standing=Standing.GOOD)
    return CertificateStatus(
        standing=Standing.REVOKED, reason=reason_of(entry), at=entry.revocation_date_utc
    )


def _load(crl: bytes, authority: x509.Certificate, now: datetime) -> x509.CertificateRevocationList:
    try:
        found = x509.load_der_x509_crl(crl)
        signed = found.issuer == authority.subject and found.is_signature_valid(
            authority.public_key()  # type: ignore[arg-type] # a key that signs, or TypeError
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise _refused("is not readable", authority) from exc
    if not signed:
        raise _refused("is not signed by it", authority)
    if found.next_update_utc is None or found.next_update_utc <= now:  # RFC 5280, 5.1.2.5
        raise IssuerUnanswered(
            f"the list of revoked certificates of {authority.subject.rfc4514_string()} has ended",
            remedy="Have the authority publish a new one.",
        )
    return found


def _load_delta(
    crl: bytes,
    whole: x509.CertificateRevocationList,
    authority: x509.Certificate,
    now: datetime,
) -> x509.CertificateRevocationList:
    """A delta goes with a whole list from its base on (RFC 5280, 5.2.4)."""
    found = _load(crl, authority, now)
    try:
        base = found.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number
        number = whole.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound as exc:
        raise _refused("and its delta have no numbers", authority) from exc
    if number < base:
        raise _refused(f"has number {number}, and its delta is to {base}", authority)
    return found


def reason_of(entry: x509.RevokedCertificate) -> x509.ReasonFlags:
    """Why an entry of a list is there."""
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
