"""The fingerprint by which OpenPGP programs know a key (RFC 4880, 12.2; RFC 6637 for curves).

It is made of the public key, the time of generation and, for a key that decrypts by a curve, of
the hash and cipher that wrap the session key: those of RFC 6637, 13, in GnuPG's choice (AES-256
with P-384, where the RFC has AES-192 beside it).
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.openpgp import KEY_REF, OID, PublicKey

RSA, ECDH, ECDSA, EDDSA = 1, 18, 19, 22  # RFC 4880, 9.1; RFC 6637, 5; EdDSA as GnuPG has it
NATIVE_POINT = b"\x40"  # in front of a point in its curve's own form
SHA256, SHA384, SHA512 = 8, 9, 10  # RFC 4880, 9.4
AES128, AES256 = 7, 9  # 9.2
_WRAPPING = ((256, SHA256, AES128), (384, SHA384, AES256), (528, SHA512, AES256))


def fingerprint(slot: KEY_REF, key: PublicKey, seconds: int) -> bytes:
    """20 bytes; `seconds` since 1970 is the time of generation."""
    body = b"\x04" + seconds.to_bytes(4) + _material(slot, key)
    return hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body).digest()  # that is the format


def _material(slot: KEY_REF, key: PublicKey) -> bytes:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return bytes([RSA]) + _mpi(numbers.n) + _mpi(numbers.e)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return bytes([EDDSA]) + _oid(OID.Ed25519) + _native(key)
    if isinstance(key, x25519.X25519PublicKey):
        return bytes([ECDH]) + _oid(OID.X25519) + _native(key) + _wrapping(256)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    curve = _oid(_named(key)) + _mpi(int.from_bytes(point))
    if slot is KEY_REF.DEC:
        return bytes([ECDH]) + curve + _wrapping(key.curve.key_size)
    return bytes([ECDSA]) + curve


def _native(key: ed25519.Ed25519PublicKey | x25519.X25519PublicKey) -> bytes:
    return _mpi(int.from_bytes(NATIVE_POINT + key.public_bytes(Encoding.Raw, PublicFormat.Raw)))


def _named(key: ec.EllipticCurvePublicKey) -> OID:
    return next(oid for oid in OID if oid.name.lower() == key.curve.name.lower())


def _oid(oid: OID) -> bytes:
    return bytes([len(oid.value)]) + oid.value


def _mpi(number: int) -> bytes:
    """RFC 4880, 3.2: the number of bits, then the number."""
    bits = number.bit_length()
    return bits.to_bytes(2) + number.to_bytes((bits + 7) // 8)


def _wrapping(bits: int) -> bytes:
    """RFC 6637, 9: three bytes follow, of version 1."""
    digest, cipher = next((d, c) for most, d, c in _WRAPPING if bits <= most)
    return bytes([3, 1, digest, cipher])
