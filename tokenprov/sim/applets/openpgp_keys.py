"""Private keys in OpenPGP slots: making, importing, using and keeping them.

Rules
- RSA signs a DigestInfo with PKCS#1 v1.5 padding; what is signed is at most 40 % of the modulus
  (OPGP 7.2.10). It decrypts a block with padding type 2 and gives the message (OPGP 7.2.11).
- ECDSA signs a hash, the leftmost bits of it if it is longer than the curve (FIPS 186-4, 6.4), and
  gives r and s, each as long as the curve; Ed25519 signs the message itself.
- ECDH gives the x coordinate of the shared point; X25519 as RFC 7748, 6.1.
- An X25519 key is imported with its last byte first, as an OpenPGP number (RFC 6637, 5 has it so).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.openpgp_algorithms import WEIERSTRASS, Attributes, Curve
from tokenprov.sim.applets.openpgp_wire import Origin, PrivatePart, Tag
from tokenprov.sim.applets.piv_wire import tlv

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | x25519.X25519PrivateKey
)
PUBLIC_EXPONENT = 65537
_SIGNED_PART = 0.4  # of the modulus, at most
_PADDING_BYTES = 11  # PKCS#1 v1.5: 00, type, at least eight bytes, 00

# Any hash of that size will do for the library: it signs a number.
_HASHES: dict[int, hashes.HashAlgorithm] = {
    32: hashes.SHA256(),
    48: hashes.SHA384(),
    64: hashes.SHA512(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPgpKey:
    """A private key and where it comes from."""

    private: PrivateKey
    origin: Origin

    @property
    def public_template(self) -> bytes:
        """Template 7F49 of the public key (OPGP 7.2.14)."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            modulus = public.public_numbers().n.to_bytes(public.key_size // 8)
            content = tlv(Tag.MODULUS, modulus) + tlv(Tag.EXPONENT, PUBLIC_EXPONENT.to_bytes(3))
        elif isinstance(public, ec.EllipticCurvePublicKey):
            point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            content = tlv(Tag.POINT, point)
        else:
            content = tlv(Tag.POINT, public.public_bytes(Encoding.Raw, PublicFormat.Raw))
        return tlv(Tag.PUBLIC_KEY, content)

    def sign(self, data: bytes) -> bytes:
        """Sign a DigestInfo, a hash or a message. Raises `Refusal` 6A80 for a wrong length."""
        key = self.private
        if isinstance(key, rsa.RSAPrivateKey):
            size = key.key_size // 8
            if not 0 < len(data) <= size * _SIGNED_PART:
                raise Refusal(SW.INCORRECT_PARAMETERS)
            filling = b"\xff" * (size - len(data) - 3)
            return _raw_rsa(key, b"\x00\x01" + filling + b"\x00" + data)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return _ecdsa(key, data)
        raise Refusal(SW.INCORRECT_PARAMETERS)  # X25519 signs nothing

    def decrypt(self, block: bytes) -> bytes:
        """Decrypt an RSA block. Raises `Refusal` 6A80 when it does not open."""
        if not isinstance(self.private, rsa.RSAPrivateKey):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        padded = _raw_rsa(self.private, block)
        end = padded.find(b"\x00", 2)
        if not padded.startswith(b"\x00\x02") or end < _PADDING_BYTES - 1:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return padded[end + 1 :]

    def agree(self, point: bytes) -> bytes:
        """The secret shared with a public key. Raises `Refusal` 6A80 for a point that is none."""
        key = self.private
        try:
            if isinstance(key, ec.EllipticCurvePrivateKey):
                peer = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)
                return key.exchange(ec.ECDH(), peer)
            if isinstance(key, x25519.X25519PrivateKey):
                return key.exchange(x25519.X25519PublicKey.from_public_bytes(point))
        except ValueError:
            raise Refusal(SW.INCORRECT_PARAMETERS) from None
        raise Refusal(SW.INCORRECT_PARAMETERS)

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        private = self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return {"private": private.hex(), "origin": self.origin.name}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> OpenPgpKey:
        """The key that `dump` gave."""
        private = load_der_private_key(
            bytes.fromhex(state["private"]), None, unsafe_skip_rsa_key_validation=True
        )
        if not isinstance(private, PrivateKey):
            raise TypeError("the state holds a key of no OpenPGP algorithm")
        return cls(private=private, origin=Origin[state["origin"]])


def generate(attributes: Attributes) -> PrivateKey:
    """A new private key."""
    if attributes.curve is None:
        return rsa.generate_private_key(PUBLIC_EXPONENT, attributes.bits)
    if attributes.curve is Curve.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if attributes.curve is Curve.X25519:
        return x25519.X25519PrivateKey.generate()
    return ec.generate_private_key(WEIERSTRASS[attributes.curve])


def import_key(attributes: Attributes, parts: dict[int, bytes]) -> PrivateKey:
    """The private key that a template holds. Raises `Refusal` 6A80 when it is not as attributed."""
    try:
        first = parts[PrivatePart.PRIME_P]
        if attributes.curve is None:
            return _import_rsa(attributes.bits, parts)
        if attributes.curve is Curve.ED25519:
            return ed25519.Ed25519PrivateKey.from_private_bytes(first)
        if attributes.curve is Curve.X25519:
            return x25519.X25519PrivateKey.from_private_bytes(first[::-1])
        curve = WEIERSTRASS[attributes.curve]
        if len(first) > (curve.key_size + 7) // 8:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return ec.derive_private_key(int.from_bytes(first), curve)
    except (KeyError, ValueError):
        raise Refusal(SW.INCORRECT_PARAMETERS) from None


def rsa_fingerprint(key: rsa.RSAPublicKey, made: int) -> bytes:
    """The OpenPGP fingerprint of an RSA key made at `made`, seconds since 1970 (RFC 4880, 12.2)."""
    numbers = key.public_numbers()
    packet = b"\x04" + made.to_bytes(4) + b"\x01" + _mpi(numbers.n) + _mpi(numbers.e)
    whole = b"\x99" + len(packet).to_bytes(2) + packet
    return hashlib.sha1(whole, usedforsecurity=False).digest()


def _mpi(value: int) -> bytes:
    bits = value.bit_length()
    return bits.to_bytes(2) + value.to_bytes((bits + 7) // 8)


def _import_rsa(bits: int, parts: dict[int, bytes]) -> rsa.RSAPrivateKey:
    e, p, q = (
        int.from_bytes(parts[tag])
        for tag in (PrivatePart.EXPONENT, PrivatePart.PRIME_P, PrivatePart.PRIME_Q)
    )
    if e != PUBLIC_EXPONENT or (p * q).bit_length() != bits or p == q:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    d = pow(e, -1, (p - 1) * (q - 1))
    dp, dq, qinv = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(
        p, q, d, dp, dq, qinv, rsa.RSAPublicNumbers(e, p * q)
    ).private_key()


def _ecdsa(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    size = (key.curve.key_size + 7) // 8
    hashed = min(size, max(_HASHES))
    if not 0 < len(digest) <= max(_HASHES):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    number = digest[:hashed].rjust(hashed, b"\0")
    r, s = decode_dss_signature(key.sign(number, ec.ECDSA(Prehashed(_HASHES[hashed]))))
    return r.to_bytes(size) + s.to_bytes(size)


def _raw_rsa(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    numbers = key.private_numbers()
    p, q = numbers.p, numbers.q
    size = key.key_size // 8
    value = int.from_bytes(block)
    if len(block) != size or value >= p * q:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    in_p, in_q = pow(value % p, numbers.dmp1, p), pow(value % q, numbers.dmq1, q)
    return (in_q + q * (numbers.iqmp * (in_p - in_q) % p)).to_bytes(size)
