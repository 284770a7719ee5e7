"""What a PKCS#10 request asks for beside the key: its extensions (RFC 2985, 5.4.2).

They are those that the station's own authority would put in. An authority may give others: what it
gave is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from asn1crypto.core import SequenceOf, UTF8String
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tokenprov.errors import IssuerError
from tokenprov.issuer.ca.extensions import account_sid, extended_usages, holder_key_usage
from tokenprov.issuer.ca.names import alternative_names
from tokenprov.issuer.protocol import CertificateRequest, Usage

OID_PERMANENT_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.3")  # RFC 4043, 2


def requested_extensions(
    request: CertificateRequest, *, names_token: bool
) -> list[x509.Extension[x509.ExtensionType]]:
    """The extensions to ask for; with `names_token` the token's serial among the names.

    Raises `IssuerError` where the holder or the key lacks what the settings want.
    """
    return [
        x509.Extension(value.oid, critical, value)
        for value, critical in _wanted(request, names_token)
    ]


def _wanted(
    request: CertificateRequest, names_token: bool
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    settings = request.settings
    yield holder_key_usage(settings, _key(request.public_key)), True
    yield extended_usages(settings), Usage.CARD_AUTH in settings.usages
    names = list(alternative_names(request))
    if names_token and request.token_serial:
        names.append(_permanent_identifier(request.token_serial))
    if names:
        yield x509.SubjectAlternativeName(names), False
    if settings.policies:
        oids = map(x509.ObjectIdentifier, settings.policies)
        yield x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in oids]), False
    if settings.sid:
        yield account_sid(settings.sid), False


def _permanent_identifier(serial: str) -> x509.OtherName:
    value: bytes = SequenceOf([serial], spec=UTF8String).dump()  # identifierValue, and no assigner
    return x509.OtherName(OID_PERMANENT_IDENTIFIER, value)


def _key(der: bytes) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return key
    raise IssuerError(
        "the key to be certified cannot sign a request",
        remedy="Choose eccp256, eccp384, ed25519 or RSA in the profile.",
    )
