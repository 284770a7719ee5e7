"""Keys that verify notes, and what each kind of them signs.

Rules (https://c2sp.org/signed-note, Signatures):
- A key name is not empty and has neither space nor plus sign. The key id is the first 4 bytes of
  SHA-256(name, newline, type byte, public key).
- An ECDSA key is its SubjectPublicKeyInfo, whose SHA-256 begins with the key id; the signature is
  DER, over SHA-256 (Signature types, 0x02). P-256 alone is taken.
- A verifier key is written `name+<key id, 8 hex digits>+<base64 of type byte and public key>`.
- Base64 is the padded standard alphabet with no unused bit set: one spelling for one value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tokenprov.errors import ManifestError

KEY_ID = 4  # bytes
_TIME = 8  # bytes, big endian


class SignatureType(IntEnum):
    """The type byte of a key (https://c2sp.org/signed-note, Signature types)."""

    ED25519 = 0x01
    ECDSA = 0x02  # on P-256, with SHA-256
    COSIGNATURE = 0x04  # Ed25519 with a time (https://c2sp.org/tlog-cosignature, Format)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key that verifies notes; `key` is its 32 bytes (Ed25519) or its SPKI (ECDSA)."""

    name: str
    type: SignatureType
    key: bytes

    @property
    def key_id(self) -> bytes:
        """4 bytes that tell keys apart; no protection against forgery."""
        if self.type is SignatureType.ECDSA:
            return hashlib.sha256(self.key).digest()[:KEY_ID]
        material = self.name.encode() + b"\n" + bytes([self.type]) + self.key
        return hashlib.sha256(material).digest()[:KEY_ID]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.type]) + self.key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read the one-line form. Raises ManifestError (rule `verifier-key`)."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = strict_base64(encoded)
        if not is_key_name(name) or raw is None or len(raw) < 2:
            raise refused("verifier-key", "not of the form name+id+base64")
        if raw[0] not in set(SignatureType) or not _is_public_key(SignatureType(raw[0]), raw[1:]):
            raise refused("verifier-key", f"a key of type {raw[0]} and {len(raw) - 1} bytes")
        key = cls(name=name, type=SignatureType(raw[0]), key=raw[1:])
        if key.key_id.hex() != key_id:
            raise refused("verifier-key", "the key id does not belong to the name and the key")
        return key

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        if self.type is SignatureType.COSIGNATURE:
            if len(signature) != _TIME + 64:  # bytes of a time, and of Ed25519
                return False
            time, signature = int.from_bytes(signature[:_TIME]), signature[_TIME:]
            message = cosigned(message, time)
        try:
            if self.type is SignatureType.ECDSA:
                _p256(self.key).verify(signature, message, ec.ECDSA(hashes.SHA256()))
            else:
                ed25519.Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def cosigned(message: bytes, time: int) -> bytes:
    """What a cosigner signs at `time`, POSIX seconds (tlog-cosignature, Ed25519 signed message)."""
    return f"cosignature/v1\ntime {time}\n".encode() + message


def strict_base64(text: str) -> bytes | None:
    """The bytes of padded standard base64 in its only spelling, or None."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as SubjectPublicKeyInfo, DER."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def is_key_name(name: str) -> bool:
    """Whether a key may be called that."""
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def refused(rule: str, what: str) -> ManifestError:
    """What is wrong with a note or its key."""
    return ManifestError(
        f"signed note: {what}",
        remedy="Compare it with a copy from elsewhere; it was changed, or the key is not its key.",
        rule=rule,
    )


def _is_public_key(type: SignatureType, key: bytes) -> bool:
    if type is not SignatureType.ECDSA:
        return len(key) == 32  # bytes of Ed25519
    try:
        return spki(_p256(key)) == key
    except (ValueError, UnsupportedAlgorithm):
        return False


def _p256(der: bytes) -> ec.EllipticCurvePublicKey:
    key = serialization.load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError("not a key on P-256")
    return key
