"""X.509 pieces that the virtual authorities and the attesting applets share.

The certificates of real tokens carry extensions whose content is raw bytes where X.509 wants DER,
so they are added uninterpreted (RFC 5280, 4.2 for the frame).
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.x509.oid import NameOID

AttestedKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | x25519.X25519PublicKey
)


def certificate_builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: AttestedKey,
    serial: int,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    """A builder with everything but the extensions; `validity` is first and last moment, UTC."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )


def common_name(text: str) -> x509.Name:
    """A distinguished name of a common name alone."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def raw_extension(oid: x509.ObjectIdentifier, value: bytes) -> x509.UnrecognizedExtension:
    """An extension that holds `value` as it is."""
    return x509.UnrecognizedExtension(oid, value)


def der_integer(value: int) -> bytes:
    """A DER INTEGER of a number that is not negative, up to 126 bytes (X.690, 8.3)."""
    content = value.to_bytes(value.bit_length() // 8 + 1)
    return bytes([0x02, len(content)]) + content


def der_octets(value: bytes) -> bytes:
    """A DER OCTET STRING of up to 127 bytes (X.690, 8.7)."""
    return bytes([0x04, len(value)]) + value
