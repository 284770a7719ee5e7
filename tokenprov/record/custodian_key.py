"""Custodians' keys: what secrets are sealed to, and what opens them, where that is a file.

    P-256       a PEM file, one key; or in a PKCS#11 token, or in slot 9d (`tokenprov.custodians`)
    hybrid      a PEM file, two keys: ML-KEM-768 and then X25519. Who keeps an envelope until there
                are quantum computers still has to break the one and the other.

Rules:
- HPKE (RFC 9180) with HKDF-SHA256 and AES-256-GCM; of P-256 DHKEM 0x0010, `enc` the 65 bytes of
  the uncompressed point; of the hybrid MLKEM768-X25519 0x647a (draft-ietf-hpke-pq).
- `kid` is the beginning of SHA-256 over the key's SubjectPublicKeyInfo, 8 bytes in hex; of the
  hybrid over both, one after the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519

from tokenprov.errors import EscrowError
from tokenprov.model import Purpose
from tokenprov.secret import Secret

_KID = 8  # bytes
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\s*", re.DOTALL)
_SPKI = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

Hybrid = tuple[mlkem.MLKEM768PublicKey, x25519.X25519PublicKey]
Public = ec.EllipticCurvePublicKey | Hybrid
HybridPrivate = tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]
Private = ec.EllipticCurvePrivateKey | HybridPrivate


class EnvelopeSuite(StrEnum):
    """The ways to seal; a new one is a new value beside `v` 1."""

    P256 = "DHKEM-P256-HKDF-SHA256/HKDF-SHA256/AES-256-GCM"  # RFC 9180: 0x0010, 0x0001, 0x0002
    HYBRID = "MLKEM768-X25519/HKDF-SHA256/AES-256-GCM"  # 0x647a, 0x0001, 0x0002

    @property
    def enc(self) -> int:
        """Bytes of the encapsulated key, which come before the ciphertext."""
        return _KEMS[self].enc_length()

    @property
    def hpke(self) -> hpke.Suite:
        """The library's."""
        return hpke.Suite(_KEMS[self], hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


_KEMS = {EnvelopeSuite.P256: hpke.KEM.P256, EnvelopeSuite.HYBRID: hpke.KEM.MLKEM768_X25519}
_SUITES = {suite: suite.hpke for suite in EnvelopeSuite}


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianKey:
    """The public key that secrets are sealed to."""

    public: Public
    kid: str = field(init=False)  # 16 hex digits that name the key

    def __post_init__(self) -> None:
        ders = b"".join(key.public_bytes(*_SPKI) for key in self._parts)
        object.__setattr__(self, "kid", hashlib.sha256(ders).digest()[:_KID].hex())

    @property
    def suite(self) -> EnvelopeSuite:
        """How one seals to it."""
        return EnvelopeSuite.HYBRID if isinstance(self.public, tuple) else EnvelopeSuite.P256

    def encrypt(self, secret: bytes, info: bytes) -> bytes:
        """HPKE's single-shot sealing (RFC 9180, 6.1): `enc` and the ciphertext."""
        public = self.public
        if isinstance(public, tuple):
            return _SUITES[self.suite].encrypt(
                secret, hpke.MLKEM768X25519PublicKey(*public), info=info
            )
        return _SUITES[self.suite].encrypt(secret, public, info=info)

    def to_pem(self) -> bytes:
        """SubjectPublicKeyInfo PEM, one or two."""
        form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return b"".join(key.public_bytes(*form) for key in self._parts)

    @property
    def _parts(
        self,
    ) -> tuple[ec.EllipticCurvePublicKey | mlkem.MLKEM768PublicKey | x25519.X25519PublicKey, ...]:
        return self.public if isinstance(self.public, tuple) else (self.public,)

    @classmethod
    def from_pem(cls, pem: bytes) -> CustodianKey:
        """Read SubjectPublicKeyInfo PEM. Raises EscrowError: not that, or of another kind."""
        try:
            keys = [serialization.load_pem_public_key(one) for one in _blocks(pem)]
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise EscrowError(
                "not a public key in PEM form",
                remedy="Ask the custodian for the file that begins with BEGIN PUBLIC KEY.",
            ) from exc
        match keys:
            case [ec.EllipticCurvePublicKey() as key] if key.curve.name == "secp256r1":
                return cls(public=key)
            case [mlkem.MLKEM768PublicKey() as lattice, x25519.X25519PublicKey() as curve]:
                return cls(public=(lattice, curve))
        raise EscrowError(
            "the custodian's key is not on P-256, nor ML-KEM-768 with X25519",
            remedy="Have the custodian make a key pair: tokenprov escrow new-key FILE",
        )


class CustodianKeys(Mapping[Purpose, CustodianKey]):
    """The keys in a station's folder, `<purpose>.pem`, as they are when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Raises EscrowError: one is missing, or is none."""
        self._folder = folder
        self._read: dict[Purpose, tuple[bytes, CustodianKey]] = {}
        for purpose in Purpose:
            self[purpose]

    def __getitem__(self, purpose: Purpose) -> CustodianKey:
        pem = _read(self._folder / f"{Purpose(purpose)}.pem")
        known = self._read.get(purpose)
        if known is None or known[0] != pem:  # another process may have put another there
            known = self._read[purpose] = (pem, CustodianKey.from_pem(pem))
        return known[1]

    def __iter__(self) -> Iterator[Purpose]:
        return iter(Purpose)

    def __len__(self) -> int:
        return len(Purpose)


class PrivateKey(Protocol):
    """A custodian's private key, wherever it is kept."""

    @property
    def recipient(self) -> CustodianKey:
        """Its public half."""

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """HPKE's single-shot opening (RFC 9180, 6.1). Raises InvalidTag, EscrowError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInMemory:
    """A private key that was read from a file."""

    private: Private = field(repr=False)

    @property
    def recipient(self) -> CustodianKey:
        """Its public half."""
        if isinstance(self.private, tuple):
            lattice, curve = self.private
            return CustodianKey(public=(lattice.public_key(), curve.public_key()))
        return CustodianKey(public=self.private.public_key())

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """By the library. Raises InvalidTag."""
        if isinstance(self.private, tuple):
            both = hpke.MLKEM768X25519PrivateKey(*self.private)
            return _SUITES[EnvelopeSuite.HYBRID].decrypt(sealed, both, info=info)
        return _SUITES[EnvelopeSuite.P256].decrypt(sealed, self.private, info=info)


def load_public(path: Path) -> CustodianKey:
    """The custodian's public key in a PEM file. Raises EscrowError."""
    return CustodianKey.from_pem(_read(path))


def load_key(path: Path, passphrase: Secret | None = None) -> KeyInMemory:
    """The custodian's private key in a PKCS#8 PEM file, of either kind. Raises EscrowError."""
    return KeyInMemory(private=_private_in(_read(path), passphrase))


def load_private(path: Path, passphrase: Secret | None = None) -> ec.EllipticCurvePrivateKey:
    """The same, on P-256. Raises EscrowError."""
    return private_from_pem(_read(path), passphrase)


def private_from_pem(pem: bytes, passphrase: Secret | None = None) -> ec.EllipticCurvePrivateKey:
    """The private key on P-256 in PKCS#8 PEM. Raises EscrowError."""
    key = _private_in(pem, passphrase)
    if isinstance(key, tuple):
        raise _another_kind("the private key is not on P-256")
    return key


def _private_in(pem: bytes, passphrase: Secret | None) -> Private:
    """Raises EscrowError, which tells a passphrase from a file."""
    if b" PUBLIC KEY-----" in pem and b" PRIVATE KEY-----" not in pem:
        raise EscrowError(
            "this is the public half of a key, which seals and does not open",
            remedy="Give the private half; its custodian keeps it.",
        )
    phrase = passphrase.reveal() if passphrase else None
    try:
        keys = [serialization.load_pem_private_key(one, password=phrase) for one in _blocks(pem)]
    except TypeError as exc:
        missing = passphrase is None
        raise EscrowError(
            f"the private key is {'' if missing else 'not '}encrypted",
            remedy="Give its passphrase." if missing else "Leave the passphrase out.",
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise EscrowError(
            "the private key cannot be read: a wrong passphrase, or not a PKCS#8 PEM file",
            remedy="Check the file and the passphrase.",
        ) from exc
    match keys:
        case [ec.EllipticCurvePrivateKey() as key] if key.curve.name == "secp256r1":
            return key
        case [mlkem.MLKEM768PrivateKey() as lattice, x25519.X25519PrivateKey() as curve]:
            return lattice, curve
    raise _another_kind("the private key is not on P-256, nor ML-KEM-768 with X25519")


def generate_custodian(passphrase: Secret | None = None) -> tuple[bytes, bytes]:
    """A new P-256 pair: PKCS#8 PEM (encrypted where there is a passphrase), and the public PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return private_to_pem(key, passphrase), CustodianKey(public=key.public_key()).to_pem()


def generate_hybrid(passphrase: Secret | None = None) -> tuple[bytes, bytes]:
    """The same of ML-KEM-768 and X25519: two PEM blocks each."""
    lattice, curve = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    public = CustodianKey(public=(lattice.public_key(), curve.public_key()))
    return private_to_pem(lattice, passphrase) + private_to_pem(curve, passphrase), public.to_pem()


def private_to_pem(
    key: ec.EllipticCurvePrivateKey | mlkem.MLKEM768PrivateKey | x25519.X25519PrivateKey,
    passphrase: Secret | None = None,
) -> bytes:
    """PKCS#8 PEM, encrypted where there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase.reveal())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def _blocks(pem: bytes) -> list[bytes]:
    """The PEM blocks of a file; the whole where there is none, which is then refused."""
    return [match[0] for match in _PEM.finditer(pem)] or [pem]


def _another_kind(what: str) -> EscrowError:
    return EscrowError(what, remedy="Use the custodian's key that belongs to the envelope.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise EscrowError(
            f"{path} cannot be read: {exc.strerror}", remedy="Check the path and its permissions."
        ) from exc
