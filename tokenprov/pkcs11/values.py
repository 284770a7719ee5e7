"""What a PKCS#11 module tells, as values; and public keys and signatures in X.509's form.

A module's word is read strictly: what is not of the form that PKCS #11 gives it is an error. Public
keys: PKCS #11 3.1, 6.1 (RSA) and 6.3 (curves; the point comes in an OCTET STRING, or bare from some
modules). A signature by ECDSA is r and s side by side there, and a SEQUENCE in X.509.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from asn1crypto.algos import DigestAlgorithm, DigestInfo
from asn1crypto.core import OctetString
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from tokenprov.errors import TokenRefused

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


LABEL_SIZE = 32  # bytes of CK_TOKEN_INFO.label, padded with spaces (3.1)


class Algorithm(StrEnum):
    """Keys that are made and used, by their names in profiles."""

    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    ECCP256 = "eccp256"
    ECCP384 = "eccp384"
    ED25519 = "ed25519"


BITS = {Algorithm.RSA2048: 2048, Algorithm.RSA3072: 3072, Algorithm.RSA4096: 4096}
PARAMS = {  # DER of the curve's object identifier
    Algorithm.ECCP256: bytes.fromhex("06082a8648ce3d030107"),
    Algorithm.ECCP384: bytes.fromhex("06052b81040022"),
    Algorithm.ED25519: bytes.fromhex("06032b6570"),
}
_CURVES = {
    PARAMS[Algorithm.ECCP256]: ec.SECP256R1(),
    PARAMS[Algorithm.ECCP384]: ec.SECP384R1(),
}
_EDWARDS = (PARAMS[Algorithm.ED25519], b"\x13\x0cedwards25519")  # PKCS #11 3.1, 6.3.5: either


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """A token as its module tells of it (CK_TOKEN_INFO, CK_SLOT_INFO)."""

    slot: int
    reader: str
    label: str
    serial: str
    maker: str
    model: str
    firmware: str
    flags: frozenset[str]

    @property
    def initialised(self) -> bool:
        """Whether C_InitToken was done to it."""
        return "TOKEN_INITIALIZED" in self.flags

    @property
    def has_pin(self) -> bool:
        """Whether its user has a PIN."""
        return "USER_PIN_INITIALIZED" in self.flags


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A public key as a token shows it, and its name there."""

    id: bytes
    label: str
    public: PublicKey

    @property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object on a token: its kind by PKCS#11's name, its name, and what it shows."""

    kind: str
    id: bytes
    label: str
    value: bytes = b""  # of a certificate, DER
    public: PublicKey | None = None  # of a public key that is of a form known here
    safe: Mapping[str, bool | None] = field(default_factory=dict)  # of a private key


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Everything that a token shows, by kind."""

    objects: tuple[Stored, ...]

    def of(self, kind: str, id: bytes | None = None) -> tuple[Stored, ...]:
        """The objects of a kind, of one id where it is given."""
        return tuple(o for o in self.objects if o.kind == kind and id in (None, o.id))


def algorithm_of(key: PublicKey) -> Algorithm:
    """The algorithm of a public key. Raises `TokenRefused` for one that is none of them."""
    match key:
        case rsa.RSAPublicKey():
            name = f"rsa{key.key_size}"
        case ec.EllipticCurvePublicKey():
            name = f"eccp{key.curve.key_size}"
        case _:
            name = "ed25519"
    if name not in [str(one) for one in Algorithm]:
        raise _nonsense(f"a key of an algorithm that is not used here ({name})")
    return Algorithm(name)


def parse_public(parts: Mapping[str, str]) -> PublicKey:
    """The public key that a module's attributes make up. Raises `TokenRefused` for none."""
    try:
        if parts["type"] == "RSA":
            modulus, exponent = (
                int.from_bytes(bytes.fromhex(parts[one])) for one in ("modulus", "public_exponent")
            )
            return rsa.RSAPublicNumbers(exponent, modulus).public_key()
        params, point = bytes.fromhex(parts["ec_params"]), bytes.fromhex(parts["ec_point"])
        if params in _EDWARDS:
            return ed25519.Ed25519PublicKey.from_public_bytes(_bare(point, 32))
        curve = _CURVES[params]
        size = 1 + 2 * ((curve.key_size + 7) // 8)
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, _bare(point, size))
    except (KeyError, ValueError, TypeError) as error:
        raise _nonsense("a public key of no form that is known") from error


def _bare(point: bytes, size: int) -> bytes:
    return point if len(point) == size else bytes(OctetString.load(point).native)


def encoded_signature(key: PublicKey, raw: bytes) -> bytes:
    """A signature as X.509 has it, from the module's. Raises `TokenRefused` for none."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return raw
    size = (key.curve.key_size + 7) // 8
    if len(raw) != 2 * size:
        raise _nonsense(f"an ECDSA signature of {len(raw)} bytes")
    return encode_dss_signature(int.from_bytes(raw[:size]), int.from_bytes(raw[size:]))


def hash_name(key: PublicKey) -> str:
    """The hash that is signed with a key: SHA-384 on P-384, else SHA-256."""
    curve = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size == 384
    return "sha384" if curve else "sha256"


def signing_ways(key: PublicKey, message: bytes) -> tuple[tuple[str, bytes], ...]:
    """Mechanisms that make the signature, best first, each with what is to be given to it.

    Some modules have raw mechanisms only, some those that hash.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        return (("EDDSA", message),)
    name = hash_name(key)
    digest = hashlib.new(name, message).digest()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (("ECDSA", digest), (f"ECDSA_{name.upper()}", message))
    info = DigestInfo({"digest_algorithm": DigestAlgorithm({"algorithm": name}), "digest": digest})
    return ((f"{name.upper()}_RSA_PKCS", message), ("RSA_PKCS", info.dump()))


def same_key(spki: bytes, key: PublicKey) -> bool:
    """Whether a SubjectPublicKeyInfo (DER) is of that key."""
    return load_der_public_key(spki) == key


def _nonsense(what: str) -> TokenRefused:
    return TokenRefused(
        f"the PKCS#11 module gave {what}",
        remedy="Ask the module's maker, or use another token.",
        code=0,
    )
