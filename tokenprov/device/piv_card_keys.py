"""What a key of a PIV card is given and gives: signature inputs and public keys.

SP 800-78-5 table 3-1 for the algorithms, SP 800-73-4 part 2, table 11 for public keys and 3.2.4 for
what is signed: a hash for ECDSA, a block that is padded here (RFC 8017, 9.2) for RSA.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType

from asn1crypto.algos import DigestAlgorithm, DigestInfo
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.core import BadResponseError, Tlv
from yubikit.piv import KEY_TYPE

TAG_PUBLIC_KEY = 0x7F49
TAG_MODULUS, TAG_EXPONENT, TAG_POINT = 0x81, 0x82, 0x86

_CURVES = {KEY_TYPE.ECCP256: ec.SECP256R1(), KEY_TYPE.ECCP384: ec.SECP384R1()}
_HASHES = {KEY_TYPE.ECCP384: "sha384"}  # SHA-256 for the others

PROBES = MappingProxyType(  # bytes that a signature input of this algorithm has
    {
        KEY_TYPE.ECCP256: 32,
        KEY_TYPE.RSA2048: 256,
        KEY_TYPE.ECCP384: 48,
        KEY_TYPE.RSA3072: 384,
        KEY_TYPE.RSA1024: 128,  # of cards from before 2011 (SP 800-78-1 table 3-1): never made here
    }
)


def signature_input(algorithm: KEY_TYPE, message: bytes) -> bytes:
    """What the card signs for a signature over the message, as X.509 has it."""
    name = _HASHES.get(algorithm, "sha256")
    digest = hashlib.new(name, message).digest()
    if algorithm in _CURVES:
        return digest
    encoded: bytes = DigestInfo(
        {"digest_algorithm": DigestAlgorithm({"algorithm": name}), "digest": digest}
    ).dump()
    filling = PROBES[algorithm] - len(encoded) - 3
    return b"\0\1" + b"\xff" * filling + b"\0" + encoded


def public_key(algorithm: KEY_TYPE, answer: bytes) -> bytes:
    """The key in the answer to GENERATE ASYMMETRIC KEY PAIR, as SubjectPublicKeyInfo, DER.

    Raises `BadResponseError` for an answer that holds none of that algorithm.
    """
    try:
        fields = Tlv.parse_dict(Tlv.unpack(TAG_PUBLIC_KEY, answer))
        made = _parsed(algorithm, fields)
    except (ValueError, KeyError, IndexError) as error:
        raise BadResponseError("no public key in the answer") from error
    return made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _parsed(
    algorithm: KEY_TYPE, fields: dict[int, bytes]
) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    if algorithm in _CURVES:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[algorithm], fields[TAG_POINT])
    modulus, exponent = (int.from_bytes(fields[tag]) for tag in (TAG_MODULUS, TAG_EXPONENT))
    if modulus.bit_length() != algorithm.bit_len:
        raise ValueError(f"a modulus of {modulus.bit_length()} bits")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
