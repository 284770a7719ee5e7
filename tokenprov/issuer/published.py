"""What an authority publishes of a certificate: read back from its list (RFC 5280, 5).

Rules: a list counts when the authority signed it, until it ends; a delta goes before the whole list
that it is to (5.2.4), and alone it is none. What is on neither is good, as far as lists go: whether
the authority issued it at all is for who keeps its certificates to say. So a list must be one on
which the certificate would stand (5.2.5): of holders' certificates, for all reasons, of the
distribution point that the certificate names, if it names any; and nothing critical is unknown.
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
    certificate: x509.Certificate | None = None,
) -> CertificateStatus:
    """Where a certificate of `authority` stands by its lists (DER).

    Raises `IssuerError` where a list is unreadable, not the authority's or not for this
    certificate, and for a delta to another whole list; `IssuerUnanswered` for one that ended.
    """
    serial, lists = int(serial_hex, 16), [_load(whole, authority, now)]
    _check_scope(lists[0], authority, certificate)
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


def _check_scope(
    found: x509.CertificateRevocationList,
    authority: x509.Certificate,
    certificate: x509.Certificate | None,
) -> None:
    """Whether the certificate would stand on this list (RFC 5280, 6.3.3 (b))."""
    try:
        critical = [one.value for one in found.extensions if one.critical]
        points = _points(certificate) if certificate is not None else frozenset()
    except (ValueError, x509.DuplicateExtension) as exc:
        raise _refused("has extensions that cannot be read", authority) from exc
    for value in critical:
        match value:
            case x509.DeltaCRLIndicator():
                raise _refused("is a delta, and not a whole one", authority)
            case x509.IssuingDistributionPoint():
                if (
                    value.only_contains_ca_certs
                    or value.only_contains_attribute_certs
                    or value.indirect_crl
                    or value.only_some_reasons
                ):
                    raise _refused("is not for all that holders' certificates may be", authority)
                names = frozenset(value.full_name or ())
                if names and points and not names & points:
                    raise _refused("is of another distribution point", authority)
            case _:
                raise _refused(f"has {value.oid.dotted_string}, which is critical", authority)


def _points(certificate: x509.Certificate) -> frozenset[x509.GeneralName]:
    """Where a certificate says that its list is (4.2.1.13)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name for point in found for name in point.full_name or ())


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
