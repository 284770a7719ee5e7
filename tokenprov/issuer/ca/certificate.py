"""A holder's certificate, an authority's and its responder's, built to RFC 5280.

Rules:
- The serial number is 159 random bits (4.1.2.2: positive, 20 octets at the most).
- Valid from five minutes ago, for clocks that lag, and at the most until the days that are asked
  for, the end (UTC) of the holder's last day, and the authority's own end.
- Subject: the common name alone, 64 characters at the most (X.520, ub-common-name).
- Alternative names by `names`, other extensions by `extensions`; basic constraints, critical; key
  identifiers of both keys.
- Keys that cannot sign, or are weaker than 112 bits (SP 800-57 part 1, 5.6.1), are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tokenprov.errors import IssuerError
from tokenprov.issuer.ca.extensions import (
    account_sid,
    authority_key,
    authority_key_usage,
    extended_usages,
    holder_key_usage,
    lookups,
    responder_key_usage,
)
from tokenprov.issuer.ca.folder import CaSettings
from tokenprov.issuer.ca.keys import AuthorityKey, digest_of
from tokenprov.issuer.ca.names import alternative_names
from tokenprov.issuer.protocol import CertificateRequest, Usage
from tokenprov.secret import RandomBytes

BACKDATED = timedelta(minutes=5)  # of what is not for holders
SERIAL_LENGTH = 20  # bytes, RFC 5280, 4.1.2.2
RESPONDER_VALIDITY = timedelta(days=90)
_MAX_COMMON_NAME = 64  # characters, RFC 5280, A.1: ub-common-name
_MIN_RSA = 2048  # bits

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

HolderKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """An authority that signs: its certificate, its key, and what it says of itself."""

    certificate: x509.Certificate
    key: AuthorityKey
    settings: CaSettings

    def sign(
        self,
        subject: x509.Name,
        key: HolderKey,
        start: datetime,
        end: datetime,
        extensions: Iterable[tuple[x509.ExtensionType, bool]],
        random: RandomBytes,
    ) -> x509.Certificate:
        """A certificate with these extensions, critical or not, and both key identifiers."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(draw_serial(random))
            .not_valid_before(max(start, self.certificate.not_valid_before_utc))
            .not_valid_after(min(end, self.certificate.not_valid_after_utc))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(authority_key(self.certificate), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.key, digest_of(self.key))


def build_certificate(
    request: CertificateRequest, signer: Signer, *, now: datetime, random: RandomBytes
) -> x509.Certificate:
    """The certificate that is asked for.

    Raises `IssuerError` where the holder, the settings or the key do not allow one.
    """
    settings, key = request.settings, _signing_key(request.public_key)
    end = _end(request, signer.certificate, now)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (holder_key_usage(settings, key), True),
        (extended_usages(settings), Usage.CARD_AUTH in settings.usages),
    ]
    names = list(alternative_names(request))
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    if settings.sid:
        extensions.append((account_sid(settings.sid), False))
    if settings.policies:
        extensions.append((policies(settings.policies), False))
    extensions += [(extension, False) for extension in lookups(signer.settings)]
    subject, start = common_name(settings.subject), now - signer.settings.backdated
    return signer.sign(subject, key, start, end, extensions, random)


def build_responder(
    key: ec.EllipticCurvePublicKey, signer: Signer, *, now: datetime, random: RandomBytes
) -> x509.Certificate:
    """The certificate of an OCSP responder that answers for `signer` (RFC 6960, 4.2.2.2).

    It is good for 90 days and is not looked up itself (4.2.2.2.1, id-pkix-ocsp-nocheck).
    """
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (responder_key_usage(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
        (x509.OCSPNoCheck(), False),
    ]
    subject = common_name("OCSP responder")
    end = now + RESPONDER_VALIDITY
    return signer.sign(subject, key, now - BACKDATED, end, extensions, random)


def build_root(
    name: str,
    key: AuthorityKey,
    *,
    days: int,
    now: datetime,
    random: RandomBytes,
    path_length: int | None = 0,
) -> x509.Certificate:
    """A self-signed authority; with `path_length` 0 it issues to holders, not to authorities."""
    subject, public_key = common_name(name), key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public_key)
        .serial_number(draw_serial(random))
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(authority_key_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(key, digest_of(key))
    )


def build_authority_request(name: str, key: AuthorityKey) -> x509.CertificateSigningRequest:
    """What another authority is to sign so that this one issues to holders (RFC 2986)."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(common_name(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(authority_key_usage(), critical=True)
        .sign(key, digest_of(key))
    )


def build_subordinate(
    request: x509.CertificateSigningRequest,
    signer: Signer,
    *,
    days: int,
    now: datetime,
    random: RandomBytes,
) -> x509.Certificate:
    """An authority below `signer` that issues to holders. Raises `IssuerError` for its key."""
    key = _signing_key(
        request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (authority_key_usage(), True),
        *((extension, False) for extension in lookups(signer.settings)),
    ]
    end = now + timedelta(days=days)
    return signer.sign(request.subject, key, now - BACKDATED, end, extensions, random)


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


def policies(identifiers: Iterable[str]) -> x509.CertificatePolicies:
    """Policies by object identifier. Raises `IssuerError` for what is none."""
    try:
        return x509.CertificatePolicies(
            [
                x509.PolicyInformation(x509.ObjectIdentifier(one), None)
                for one in dict.fromkeys(identifiers)
            ]
        )
    except ValueError as exc:
        raise IssuerError(
            f"not an object identifier: {exc}",
            remedy="Write policies as the authority's practice statement has them: 1.3.6.1.4.1.….",
        ) from exc


def _signing_key(der: bytes) -> HolderKey:
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
