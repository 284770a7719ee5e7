"""Asymmetric keys in PIV slots: making, importing, using and keeping them.

Rules
- RSA is the bare operation on a block as long as the modulus; the host pads (SP 800-78-4, 3.1).
- ECDSA signs a hash of at most the curve's size, as it is; Ed25519 signs the message itself.
- ECDH gives the x coordinate of the shared point (SP 800-73-4 part 2, 3.2.4; SP 800-56A, 5.7.1.2);
  X25519 as RFC 7748, 6.1.
- Public keys are written as modulus and exponent or as a point (SP 800-73-4 part 2, table 11);
  private ones come as primes with their CRT values, or as a scalar (maker, "Import key").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.piv_wire import (
    RSA_BITS,
    Algorithm,
    Origin,
    PinPolicy,
    Tag,
    TouchPolicy,
    tlv,
)

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | x25519.X25519PrivateKey
)
PUBLIC_EXPONENT = 65537

# Tags of an imported private key (maker, "Import asymmetric key").
TAG_P, TAG_Q, TAG_DP, TAG_DQ, TAG_QINV = range(0x01, 0x06)
TAG_SCALAR = {Algorithm.P256: 0x06, Algorithm.P384: 0x06}
TAG_SCALAR |= {Algorithm.ED25519: 0x07, Algorithm.X25519: 0x08}

_CURVES: dict[Algorithm, ec.EllipticCurve] = {
    Algorithm.P256: ec.SECP256R1(),
    Algorithm.P384: ec.SECP384R1(),
}
# ECDSA takes a hash as a number (FIPS 186-4, 6.4): shorter ones are filled up in front, and any
# hash of the curve's size will do for the library.
_HASHES: dict[Algorithm, hashes.HashAlgorithm] = {
    Algorithm.P256: hashes.SHA256(),
    Algorithm.P384: hashes.SHA384(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PivKey:
    """A key in a slot, with its policies (never DEFAULT: that is settled when it is made)."""

    algorithm: Algorithm
    private: PrivateKey
    pin_policy: PinPolicy
    touch_policy: TouchPolicy
    origin: Origin

    @property
    def public_template(self) -> bytes:
        """The content of template 7F49."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            modulus = public.public_numbers().n.to_bytes(public.key_size // 8)
            return tlv(Tag.MODULUS, modulus) + tlv(Tag.EXPONENT, PUBLIC_EXPONENT.to_bytes(3))
        if isinstance(public, ec.EllipticCurvePublicKey):
            point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        else:
            point = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return tlv(Tag.POINT, point)

    def respond(self, challenge: bytes) -> bytes:
        """Sign, or decrypt, what tag 81 holds. Raises `Refusal` 6A80 for a wrong length."""
        key = self.private
        if isinstance(key, rsa.RSAPrivateKey):
            return _raw_rsa(key, challenge)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(challenge)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            size = (key.curve.key_size + 7) // 8
            if not 0 < len(challenge) <= size:
                raise Refusal(SW.INCORRECT_PARAMETERS)
            hashed = Prehashed(_HASHES[self.algorithm])
            return key.sign(challenge.rjust(size, b"\0"), ec.ECDSA(hashed))
        raise Refusal(SW.INCORRECT_PARAMETERS)  # X25519 signs nothing

    def agree(self, peer: bytes) -> bytes:
        """The secret shared with the public key in tag 85. Raises `Refusal` 6A80."""
        key = self.private
        try:
            if isinstance(key, ec.EllipticCurvePrivateKey):
                point = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, peer)
                return key.exchange(ec.ECDH(), point)
            if isinstance(key, x25519.X25519PrivateKey):
                return key.exchange(x25519.X25519PublicKey.from_public_bytes(peer))
        except ValueError:
            raise Refusal(SW.INCORRECT_PARAMETERS) from None
        raise Refusal(SW.INCORRECT_PARAMETERS)

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        private = self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return {
            "algorithm": self.algorithm.name,
            "private": private.hex(),
            "pin_policy": self.pin_policy.name,
            "touch_policy": self.touch_policy.name,
            "origin": self.origin.name,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PivKey:
        """The key that `dump` gave."""
        private = load_der_private_key(
            bytes.fromhex(state["private"]), None, unsafe_skip_rsa_key_validation=True
        )
        if not isinstance(private, PrivateKey):
            raise TypeError("the state holds a key of no PIV algorithm")
        return cls(
            algorithm=Algorithm[state["algorithm"]],
            private=private,
            pin_policy=PinPolicy[state["pin_policy"]],
            touch_policy=TouchPolicy[state["touch_policy"]],
            origin=Origin[state["origin"]],
        )


def generate(algorithm: Algorithm) -> PrivateKey:
    """A new private key."""
    if algorithm in RSA_BITS:
        return rsa.generate_private_key(PUBLIC_EXPONENT, RSA_BITS[algorithm])
    if algorithm is Algorithm.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm is Algorithm.X25519:
        return x25519.X25519PrivateKey.generate()
    return ec.generate_private_key(_CURVES[algorithm])


def import_key(algorithm: Algorithm, fields: dict[int, bytes]) -> PrivateKey:
    """The private key that an import command holds. Raises `Refusal` 6A80 when it is none."""
    try:
        if algorithm in RSA_BITS:
            return _import_rsa(RSA_BITS[algorithm], fields)
        scalar = fields[TAG_SCALAR[algorithm]]
        if algorithm is Algorithm.ED25519:
            return ed25519.Ed25519PrivateKey.from_private_bytes(scalar)
        if algorithm is Algorithm.X25519:
            return x25519.X25519PrivateKey.from_private_bytes(scalar)
        curve = _CURVES[algorithm]
        if len(scalar) != (curve.key_size + 7) // 8:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return ec.derive_private_key(int.from_bytes(scalar), curve)
    except (KeyError, ValueError):
        raise Refusal(SW.INCORRECT_PARAMETERS) from None


def _import_rsa(bits: int, fields: dict[int, bytes]) -> rsa.RSAPrivateKey:
    tags = (TAG_P, TAG_Q, TAG_DP, TAG_DQ, TAG_QINV)
    p, q, dp, dq, qinv = (int.from_bytes(fields[tag]) for tag in tags)
    if any(len(fields[tag]) > bits // 16 for tag in tags) or (p * q).bit_length() != bits:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    d = pow(PUBLIC_EXPONENT, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(PUBLIC_EXPONENT, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qinv, public).private_key()


def _raw_rsa(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    numbers = key.private_numbers()
    p, q = numbers.p, numbers.q
    size = key.key_size // 8
    value = int.from_bytes(block)
    if len(block) != size or value >= p * q:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    in_p, in_q = pow(value % p, numbers.dmp1, p), pow(value % q, numbers.dmq1, q)
    return (in_q + q * (numbers.iqmp * (in_p - in_q) % p)).to_bytes(size)
