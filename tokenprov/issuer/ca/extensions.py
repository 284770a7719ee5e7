"""What a certificate's key may be used for, and whose Windows account it is (RFC 5280, 4.2.1).

Rules:
- A key that signs has digitalSignature, for logins and mail alike.
- A key that decrypts has keyEncipherment where it is RSA (RFC 8551, 4.4.2) and keyAgreement where
  it is on a curve (RFC 5480, 3), and nothing else: what is kept in escrow must sign nothing.
- The account's security identifier stands in 1.3.6.1.4.1.311.25.2 as domain controllers want it
  for strong mapping: a GeneralNames of one otherName, 1.3.6.1.4.1.311.25.2.1, whose value is the
  identifier's text in an OCTET STRING ([MS-WCCE], 2.2.2.7.7.4).
- The usage of a key that answers without a PIN, for doors, is critical (FIPS 201: id-PIV-cardAuth,
  and nothing beside it).
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from tokenprov.errors import IssuerError
from tokenprov.issuer.ca.folder import CaSettings
from tokenprov.issuer.protocol import CertificateSettings, Usage
from tokenprov.model import SECURITY_IDENTIFIER

OID_SMARTCARD_LOGON = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.2")
OID_ACCOUNT_SID = x509.ObjectIdentifier("1.3.6.1.4.1.311.25.2")  # szOID_NTDS_CA_SECURITY_EXT
OID_OBJECT_SID = x509.ObjectIdentifier("1.3.6.1.4.1.311.25.2.1")  # szOID_NTDS_OBJECTSID

_OCTET_STRING = 0x04
_USAGES = {
    Usage.CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH,
    Usage.SMARTCARD_LOGON: OID_SMARTCARD_LOGON,
    Usage.EMAIL_PROTECTION: ExtendedKeyUsageOID.EMAIL_PROTECTION,
    Usage.CARD_AUTH: x509.ObjectIdentifier("2.16.840.1.101.3.6.8"),  # id-PIV-cardAuth
}


def holder_key_usage(
    settings: CertificateSettings,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
) -> x509.KeyUsage:
    """What a holder's key may do. Raises `IssuerError` for one that cannot decrypt but should."""
    if not settings.encryption:
        return _key_usage(digital_signature=True)
    if isinstance(key, ed25519.Ed25519PublicKey):
        raise IssuerError(
            "an ed25519 key signs and cannot decrypt",
            remedy="Choose eccp256, eccp384 or RSA for an encryption key in the profile.",
        )
    is_rsa = isinstance(key, rsa.RSAPublicKey)
    return _key_usage(key_encipherment=is_rsa, key_agreement=not is_rsa)


def authority_key_usage() -> x509.KeyUsage:
    """What an authority's key may do."""
    return _key_usage(key_cert_sign=True, crl_sign=True)


def responder_key_usage() -> x509.KeyUsage:
    """What an OCSP responder's key may do."""
    return _key_usage(digital_signature=True)


def extended_usages(settings: CertificateSettings) -> x509.ExtendedKeyUsage:
    """The extended usages, each once. Raises `IssuerError` where there is none, or one too many."""
    if not settings.usages:
        raise IssuerError(
            "a certificate without usages is good for nothing",
            remedy=f"Name usages in the profile: {', '.join(Usage)}.",
        )
    usages = dict.fromkeys(settings.usages)
    if Usage.CARD_AUTH in usages and len(usages) > 1:
        raise IssuerError(
            f"{Usage.CARD_AUTH} stands alone: its key is used without a PIN",
            remedy="Give the other usages to a key in another slot.",
        )
    return x509.ExtendedKeyUsage([_USAGES[usage] for usage in usages])


def lookups(settings: CaSettings) -> Iterator[x509.ExtensionType]:
    """Where the lists, the authority's certificate and its responder are (4.2.1.13, 4.2.2.1).

    None of them is critical.
    """
    if settings.crl_url:
        yield x509.CRLDistributionPoints([distribution_point(settings.crl_url)])
    if settings.delta_crl_url:
        yield x509.FreshestCRL([distribution_point(settings.delta_crl_url)])
    places = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, settings.ocsp_url),
            (AuthorityInformationAccessOID.CA_ISSUERS, settings.certificate_url),
        )
        if url
    ]
    if places:
        yield x509.AuthorityInformationAccess(places)


def distribution_point(url: str) -> x509.DistributionPoint:
    """A place where a list is."""
    return x509.DistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        reasons=None,
        crl_issuer=None,
    )


def authority_key(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The identifier of the key that signs (4.2.1.1), as its certificate has it."""
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )


def account_sid(sid: str) -> x509.UnrecognizedExtension:
    """The extension that names the account. Raises `IssuerError` for what is no identifier."""
    if not SECURITY_IDENTIFIER.fullmatch(sid):
        raise IssuerError(
            f"{sid[:80]!r} is not a security identifier",
            remedy="Write it in the roster's column sid as Windows shows it: S-1-5-21-….",
        )
    content = sid.encode("ascii")  # 180 bytes at the most; one of length tells up to 127
    size = bytes([len(content)]) if len(content) < 0x80 else bytes([0x81, len(content)])
    name = x509.OtherName(OID_OBJECT_SID, bytes([_OCTET_STRING]) + size + content)
    # a SubjectAlternativeName's value is GeneralNames, which is what stands here, too
    return x509.UnrecognizedExtension(
        OID_ACCOUNT_SID, x509.SubjectAlternativeName([name]).public_bytes()
    )


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_agreement: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=key_agreement,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
