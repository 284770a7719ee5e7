"""Algorithm attributes of OpenPGP keys: how they are written, and which a firmware offers.

Rules (OPGP 4.4.3.9 and 4.4.3.10)
- RSA: 01, bits of modulus, bits of exponent, import format (0: e, p, q).
- Elliptic curves: ECDH 12, ECDSA 13 or EdDSA 16, then the curve's OID. A key that decrypts agrees
  on a secret, all others sign.
- Firmware before 5.6.1 announces Curve25519 as EdDSA for every slot, in a DO whose length is two
  bytes too long, and yet accepts X25519 as ECDH (read off a key of firmware 5.4.3; yubikit
  `OpenPgpSession.get_algorithm_information` has the same story).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.applets.openpgp_wire import Slot


class PublicKeyAlgorithm(IntEnum):
    """Public-key algorithms (RFC 4880, 9.1; RFC 6637, 5)."""

    RSA = 0x01
    ECDH = 0x12
    ECDSA = 0x13
    EDDSA = 0x16


class Curve(Enum):
    """Curves, by the content of their OID."""

    P256 = bytes.fromhex("2a8648ce3d030107")
    P384 = bytes.fromhex("2b81040022")
    P521 = bytes.fromhex("2b81040023")
    SECP256K1 = bytes.fromhex("2b8104000a")
    BRAINPOOLP256R1 = bytes.fromhex("2b2403030208010107")
    BRAINPOOLP384R1 = bytes.fromhex("2b240303020801010b")
    BRAINPOOLP512R1 = bytes.fromhex("2b240303020801010d")
    ED25519 = bytes.fromhex("2b06010401da470f01")
    X25519 = bytes.fromhex("2b060104019755010501")


WEIERSTRASS: dict[Curve, ec.EllipticCurve] = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.P521: ec.SECP521R1(),
    Curve.SECP256K1: ec.SECP256K1(),
    Curve.BRAINPOOLP256R1: ec.BrainpoolP256R1(),
    Curve.BRAINPOOLP384R1: ec.BrainpoolP384R1(),
    Curve.BRAINPOOLP512R1: ec.BrainpoolP512R1(),
}
_EXPONENT_BITS = 17
_IMPORT_STANDARD = 0x00  # e, p, q


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """The algorithm of a key: RSA of `bits`, or something on `curve`."""

    algorithm: PublicKeyAlgorithm
    bits: int = 0
    curve: Curve | None = None

    @property
    def name(self) -> str:
        """As operations are called in a table of durations: "rsa2048", "p256"."""
        return f"rsa{self.bits}" if self.curve is None else self.curve.name.lower()

    def __bytes__(self) -> bytes:
        head = bytes([self.algorithm])
        if self.curve is not None:
            return head + self.curve.value
        return head + self.bits.to_bytes(2) + _EXPONENT_BITS.to_bytes(2) + bytes([_IMPORT_STANDARD])

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Attributes:
        """The attributes that `bytes` gave. Raises `ValueError` for a curve that there is not."""
        algorithm = PublicKeyAlgorithm(encoded[0])
        if algorithm is PublicKeyAlgorithm.RSA:
            return rsa_attributes(int.from_bytes(encoded[1:3]))
        return cls(algorithm=algorithm, curve=Curve(encoded[1:]))


def rsa_attributes(bits: int) -> Attributes:
    """RSA with a modulus of so many bits."""
    return Attributes(algorithm=PublicKeyAlgorithm.RSA, bits=bits)


def curve_attributes(slot: Slot, curve: Curve) -> Attributes:
    """What a key of that slot does on that curve."""
    if curve is Curve.ED25519:
        algorithm = PublicKeyAlgorithm.EDDSA
    elif curve is Curve.X25519 or slot is Slot.DEC:
        algorithm = PublicKeyAlgorithm.ECDH
    else:
        algorithm = PublicKeyAlgorithm.ECDSA
    return Attributes(algorithm=algorithm, curve=curve)


def offered(slot: Slot, bits: tuple[int, ...], curves: tuple[Curve, ...]) -> tuple[Attributes, ...]:
    """What a slot may be set to, of the RSA sizes and curves that a firmware knows."""
    no = {
        Slot.SIG: {Curve.X25519},
        Slot.DEC: {Curve.ED25519},
        Slot.AUT: {Curve.X25519},
        Slot.ATT: {Curve.X25519, Curve.ED25519},
    }[slot]
    usable = [curve for curve in curves if curve not in no]
    return (
        *(rsa_attributes(size) for size in bits),
        *(curve_attributes(slot, curve) for curve in usable),
    )


def announced_before_561(
    slot: Slot, bits: tuple[int, ...], curves: tuple[Curve, ...]
) -> tuple[Attributes, ...]:
    """What firmware before 5.6.1 says that it offers."""
    edwards = {Curve.ED25519, Curve.X25519}
    return (
        *(rsa_attributes(size) for size in bits),
        *(curve_attributes(slot, curve) for curve in curves if curve not in edwards),
        *(
            Attributes(algorithm=PublicKeyAlgorithm.EDDSA, curve=curve)
            for curve in curves
            if curve in edwards
        ),
    )
