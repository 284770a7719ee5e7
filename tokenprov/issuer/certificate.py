"""A holder's certificate and an authority's, built to RFC 5280.

Rules:
- The serial number is 159 random bits (4.1.2.2: positive, 20 octets at the most).
- Valid from five minutes ago, for clocks that lag, and at the most until the days that are asked
  for, the end (UTC) of the holder's last day, and the authority's own end.
- Subject: the common name alone, 64 characters at the most (X.520, ub-common-name).
- Alternative names: mail (rfc822Name) and user principal name (otherName 1.3.6.1.4.1.311.20.2.3,
  a UTF8String), as the profile wants.
- Extensions by `extensions`; basic constraints, critical; key identifiers of both keys.
- Keys that cannot sign, or are weaker than 112 bits (SP 800-57 part 1, 5.6.1), are refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID

from tokenprov.errors import IssuerError
from tokenprov.issuer.extensions import (
    account_sid,
    authority_key_usage,
    extended_usages,
    holder_key_usage,
)
from tokenprov.issuer.protocol import CertificateRequest
from tokenprov.secret import RandomBytes

OID_UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")  # szOID_NT_PRINCIPAL_NAME

BACKDATED = timedelta(minutes=5)
SERIAL_LENGTH = 20  # bytes, RFC 5280, 4.1.2.2
_MAX_COMMON_NAME = 64  # characters, RFC 5280, A.1: ub-common-name
_MIN_RSA = 2048  # bits
_UTF8_STRING = 0x0C

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def build_certificate(
    request: CertificateRequest,
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    *,
    now: datetime,
    random: RandomBytes,
) -> x509.Certificate:
    """The certificate that is asked for, signed by `authority` with its `key`.

    Raises `IssuerError` where the holder, the settings or the key do not allow one.
    """
    public_key = _signing_key(request.public_key)
    start = max(now - BACKDATED, authority.not_valid_before_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(request.settings.subject))
        .issuer_name(authority.subject)
        .public_key(public_key)
        .serial_number(draw_serial(random))
        .not_valid_before(start)
        .not_valid_after(_end(request, authority, now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(holder_key_usage(request.settings, public_key), critical=True)
        .add_extension(extended_usages(request.settings), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    names = _alternative_names(request)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if request.settings.sid:
        builder = builder.add_extension(account_sid(request.settings.sid), critical=False)
    return builder.sign(key, hashes.SHA256())


def build_authority(
    name: str, key: ec.EllipticCurvePrivateKey, *, days: int, now: datetime, random: RandomBytes
) -> x509.Certificate:
    """A self-signed authority that issues to holders, not to further authorities."""
    subject = common_name(name)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(draw_serial(random))
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(authority_key_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def common_name(text: str) -> x509.Name:
    """A name of one common name. Raises `IssuerError` where X.520 has no room for it."""
    if not text.strip() or len(text) > _MAX_COMMON_NAME or not text.isprintable():
        raise IssuerError(
            f"{text!r} cannot be a certificate's common name",
            remedy="Use 1 to 64 printable characters: shorten the name in the roster, or the "
            "subject in the profile.",
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def draw_serial(random: RandomBytes) -> int:
    """A random positive serial number below 2^159."""
    while True:
        serial = int.from_bytes(random(SERIAL_LENGTH)) >> 1
        if serial:
            return serial


def _signing_key(
    der: bytes,
) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    try:
        key = load_der_public_key(der)
    except ValueError as exc:
        raise _key_refused("is not readable") from exc
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _MIN_RSA:
            raise _key_refused(f"has {key.key_size} bits only")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            raise _key_refused(f"is on the curve {key.curve.name}")
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise _key_refused("cannot sign")


def _key_refused(why: str) -> IssuerError:
    return IssuerError(
        f"the key to be certified {why}",
        remedy="Choose eccp256, eccp384, ed25519 or RSA of 2048 bits or more in the profile.",
    )


def _end(request: CertificateRequest, authority: x509.Certificate, now: datetime) -> datetime:
    settings, last_day = request.settings, request.holder.last_day
    if settings.days < 1:
        raise IssuerError(
            f"a certificate cannot be valid for {settings.days} days",
            remedy="Set days to 1 or more in the profile.",
        )
    ends = [now + timedelta(days=settings.days), authority.not_valid_after_utc]
    if authority.not_valid_after_utc <= now:
        raise IssuerError(
            f"the authority ended on {authority.not_valid_after_utc:%Y-%m-%d}",
            remedy="Check the station's clock; then make a new authority.",
        )
    if last_day is not None:
        end = datetime.combine(last_day, time(23, 59, 59), UTC)
        if end <= now:
            raise IssuerError(
                f"the last day of {request.holder.id} was {last_day}",
                remedy="Correct last_day in the roster, or take the holder out of it.",
            )
        ends.append(end)
    return min(ends)


def _alternative_names(request: CertificateRequest) -> list[x509.GeneralName]:
    holder, names = request.holder, list[x509.GeneralName]()
    if request.settings.email:
        try:
            names.append(x509.RFC822Name(holder.email))
        except ValueError as exc:
            raise IssuerError(
                f"the mail address {holder.email!r} of {holder.id} has no form for a certificate",
                remedy="Use an address in ASCII (a domain as xn--…), or set email = false.",
            ) from exc
    if request.settings.upn:
        if not holder.upn:
            raise IssuerError(
                f"{holder.id} has no user principal name",
                remedy="Add a upn column to the roster, or set upn = false in the profile.",
            )
        names.append(x509.OtherName(OID_UPN, _utf8_string(holder.upn)))
    return names


def _utf8_string(text: str) -> bytes:
    content = text.encode()
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1)
    length = size if len(content) < 0x80 else bytes([0x80 | len(size)]) + size  # X.690, 8.1.3
    return bytes([_UTF8_STRING]) + length + content
