"""The keys of credentials: algorithms, COSE public keys, signatures.

A private key is derived from 64 secret bytes, so that it need not be stored as such: a scalar
modulo the order of the curve (less than 2**-100 of bias), or the first 32 bytes as an Ed25519 seed.
COSE keys as RFC 8152, 13 and WebAuthn Level 2, 5.8.5 have them.
"""

from __future__ import annotations

from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET_LENGTH = 64  # bytes


class Algorithm(IntEnum):
    """COSE algorithms (IANA registry "COSE Algorithms")."""

    ES256 = -7
    EDDSA = -8
    ES384 = -35


class CoseKeyParameter(IntEnum):
    """Labels of a COSE key (RFC 8152, 7.1 and 13.1)."""

    KTY = 1
    ALG = 3
    CRV = -1
    X = -2
    Y = -3


class CoseKeyType(IntEnum):
    """Key types (RFC 8152, 13)."""

    OKP = 1
    EC2 = 2


class CoseCurve(IntEnum):
    """Curves (RFC 8152, 13.1)."""

    P256 = 1
    P384 = 2
    ED25519 = 6


_ORDERS = {  # SEC 2, 2.4.2 and 2.5.1: the order n of the base point
    Algorithm.ES256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    Algorithm.ES384: (0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF << 128)
    | 0x581A0DB248B0A77AECEC196ACCC52973,
}
_CURVES: dict[Algorithm, tuple[ec.EllipticCurve, CoseCurve, HashAlgorithm]] = {
    Algorithm.ES256: (ec.SECP256R1(), CoseCurve.P256, SHA256()),
    Algorithm.ES384: (ec.SECP384R1(), CoseCurve.P384, SHA384()),
}


def ec_private_key(algorithm: Algorithm, secret: bytes) -> ec.EllipticCurvePrivateKey:
    """The elliptic-curve private key of 64 secret bytes, for ES256 or ES384."""
    scalar = int.from_bytes(secret, "big") % (_ORDERS[algorithm] - 1) + 1
    return ec.derive_private_key(scalar, _CURVES[algorithm][0])


def _ed_key(secret: bytes) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(secret[:32])


def cose_public_key(algorithm: Algorithm, secret: bytes) -> dict[int, int | bytes]:
    """The public key of `secret` as a COSE key, only its mandatory parameters."""
    if algorithm is Algorithm.EDDSA:
        return {
            CoseKeyParameter.KTY: CoseKeyType.OKP,
            CoseKeyParameter.ALG: algorithm,
            CoseKeyParameter.CRV: CoseCurve.ED25519,
            CoseKeyParameter.X: _ed_key(secret)
            .public_key()
            .public_bytes(Encoding.Raw, PublicFormat.Raw),
        }
    key = ec_private_key(algorithm, secret).public_key()
    return cose_ec_key(key, algorithm, _CURVES[algorithm][1])


def cose_ec_key(
    key: ec.EllipticCurvePublicKey, algorithm: int, curve: CoseCurve
) -> dict[int, int | bytes]:
    """An elliptic-curve public key as a COSE key of that algorithm."""
    size = (key.key_size + 7) // 8
    point = key.public_numbers()
    return {
        CoseKeyParameter.KTY: CoseKeyType.EC2,
        CoseKeyParameter.ALG: algorithm,
        CoseKeyParameter.CRV: curve,
        CoseKeyParameter.X: point.x.to_bytes(size, "big"),
        CoseKeyParameter.Y: point.y.to_bytes(size, "big"),
    }


def p256_point(secret: bytes) -> bytes:
    """The ES256 public key as an uncompressed point, 65 bytes (U2F Raw Message Formats, 4.3)."""
    key = ec_private_key(Algorithm.ES256, secret).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def sign(algorithm: Algorithm, secret: bytes, message: bytes) -> bytes:
    """Sign: ECDSA signatures are DER (WebAuthn Level 2, 6.5.6)."""
    if algorithm is Algorithm.EDDSA:
        return _ed_key(secret).sign(message)
    return ec_private_key(algorithm, secret).sign(message, ec.ECDSA(_CURVES[algorithm][2]))
