"""Keys that verify notes, and what each kind of them signs.

    type   signs                                          public key
    0x01   Ed25519 over the text                          32 bytes
    0x02   ECDSA on P-256 over the text's SHA-256, DER    SubjectPublicKeyInfo
    0x04   Ed25519 over time and text: a cosignature      32 bytes
    0x06   ML-DSA-44 over time and head: a cosignature    1312 bytes

Rules (https://c2sp.org/signed-note, Signatures):
- A key name is not empty and has neither space nor plus sign. The key id is the first 4 bytes of
  SHA-256(name, newline, type byte, public key).
- The id of an ECDSA key begins the SHA-256 of its SubjectPublicKeyInfo instead (Signature types,
  0x02). P-256 alone is taken.
- A cosignature has its time before it, 8 bytes (https://c2sp.org/tlog-cosignature).
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
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from tokenprov.errors import ManifestError

KEY_ID = 4  # bytes
TIME = 8  # bytes, big endian, POSIX seconds


class SignatureType(IntEnum):
    """The type byte of a key (https://c2sp.org/signed-note, Signature types)."""

    ED25519 = 0x01
    ECDSA = 0x02  # on P-256, with SHA-256
    COSIGNATURE = 0x04  # Ed25519 with a time (https://c2sp.org/tlog-cosignature, Format)
    COSIGNATURE_ML_DSA = 0x06  # ML-DSA-44 with a time


_SIZES = {  # bytes of a public key
    SignatureType.ED25519: 32,
    SignatureType.COSIGNATURE: 32,
    SignatureType.COSIGNATURE_ML_DSA: 1312,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key that verifies notes; `key` is its encoding, by the table above."""

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

    @classmethod
    def of(cls, name: str, public: PublicKeyTypes, *, cosigns: bool = False) -> VerifierKey:
        """A public key under a name. Raises ManifestError where either cannot sign so."""
        if not is_key_name(name):
            raise refused("key-name", f"{name!r} is empty or has a space or a plus sign")
        if isinstance(public, ed25519.Ed25519PublicKey):
            kind = SignatureType.COSIGNATURE if cosigns else SignatureType.ED25519
            return cls(name=name, type=kind, key=public.public_bytes_raw())
        if isinstance(public, mldsa.MLDSA44PublicKey) and cosigns:
            kind = SignatureType.COSIGNATURE_ML_DSA
            return cls(name=name, type=kind, key=public.public_bytes_raw())
        if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1":
            return cls(name=name, type=SignatureType.ECDSA, key=spki(public))
        raise refused("verifier-key", "a key that is neither Ed25519 nor on P-256 (nor ML-DSA-44)")

    @property
    def identity(self) -> str:
        """The type and the public key, whatever it is named: base64."""
        return base64.b64encode(bytes([self.type]) + self.key).decode()

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{self.identity}"

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

    @classmethod
    def in_file(cls, data: bytes) -> VerifierKey:
        """Read a file with one, on a line. Raises ManifestError (rule `verifier-key`)."""
        return cls.parse(data.decode("utf-8", "replace").strip())

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        try:
            self._verify(message, signature)
        except (InvalidSignature, ValueError, OverflowError, UnsupportedAlgorithm):
            return False
        return True

    def _verify(self, message: bytes, signature: bytes) -> None:
        if self.type in (SignatureType.ED25519, SignatureType.COSIGNATURE):
            if self.type is SignatureType.COSIGNATURE:
                message, signature = cosigned(message, _time(signature)), signature[TIME:]
            ed25519.Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        elif self.type is SignatureType.ECDSA:
            _p256(self.key).verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            message = cosigned_head(self.name, message, _time(signature))
            mldsa.MLDSA44PublicKey.from_public_bytes(self.key).verify(signature[TIME:], message)


def cosigned(message: bytes, time: int) -> bytes:
    """What a cosigner signs at `time`, POSIX seconds (tlog-cosignature, Ed25519 signed message)."""
    return f"cosignature/v1\ntime {time}\n".encode() + message


def cosigned_head(name: str, text: bytes, time: int) -> bytes:
    """The same by ML-DSA-44: the head in binary (tlog-cosignature, ML-DSA-44 signed message)."""
    origin, size, root = text.split(b"\n")[:3]
    who = name.encode()
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(who)]) + who,
            time.to_bytes(TIME),
            bytes([len(origin)]) + origin,
            bytes(8),  # start: the whole tree
            int(size).to_bytes(8),
            base64.b64decode(root, validate=True),
        )
    )


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


def _time(signature: bytes) -> int:
    return int.from_bytes(signature[:TIME])


def _is_public_key(type: SignatureType, key: bytes) -> bool:
    if type in _SIZES:
        return len(key) == _SIZES[type]
    try:
        return spki(_p256(key)) == key
    except (ValueError, UnsupportedAlgorithm):
        return False


def _p256(der: bytes) -> ec.EllipticCurvePublicKey:
    key = serialization.load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError("not a key on P-256")
    return key
