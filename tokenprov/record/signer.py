"""Who signs notes: a private key, wherever it is, under a name.

    SigningKey     Ed25519, or P-256; of a witness also ML-DSA-44. In a file or in memory (here), in
                   a PKCS#11 token or a PIV token (`tokenprov.signing`)
    Signer         signs a text as it is: a station, or the root of its keys
    Cosigner       signs a checkpoint with the time, where its kind of key has a form for that

Rules:
- A key file is PKCS#8 PEM without a passphrase, mode 0600; it is never replaced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256

from tokenprov.errors import StationError
from tokenprov.record.files import create_durable
from tokenprov.record.verifier_key import (
    TIME,
    SignatureType,
    VerifierKey,
    cosigned,
    cosigned_head,
)

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | mldsa.MLDSA44PrivateKey


class SigningKey(Protocol):
    """A private key, wherever it is."""

    @property
    def public(self) -> PublicKeyTypes:
        """Its public half."""

    def sign(self, message: bytes) -> bytes:
        """Ed25519, ML-DSA-44, or ECDSA with SHA-256 in ASN.1 DER, by the kind of the key."""


class NoteSigner(Protocol):
    """What signs notes; for a manifest it is named after the log."""

    @property
    def verifier(self) -> VerifierKey:
        """The public half, with the name and the key id."""

    def sign(self, message: bytes) -> bytes:
        """The signature over the text of a note, as it stands after the key id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInMemory:
    """A private key in this process."""

    private: PrivateKey = field(repr=False)

    @classmethod
    def draw(cls) -> KeyInMemory:
        """An Ed25519 key that is nowhere yet."""
        return cls(private=ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def generate(cls, path: Path) -> KeyInMemory:
        """Draw an Ed25519 key and store it. Raises FileExistsError."""
        return cls.draw().store(path)

    def store(self, path: Path) -> KeyInMemory:
        """Write the key file. Raises FileExistsError: a signing key is never replaced."""
        pem = self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        create_durable(path, pem, 0o600)
        return self

    @classmethod
    def load(cls, path: Path) -> KeyInMemory:
        """Read the key file. Raises StationError: missing, open to others, no key that signs."""
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
            pem = path.read_bytes()
        except OSError as exc:
            raise StationError(
                f"the signing key {path} cannot be read: {exc.strerror}",
                remedy="Restore it from its backup; without it nothing can be added.",
            ) from exc
        if mode & 0o077:
            raise StationError(
                f"the signing key {path} has mode {mode:04o}: others can read it",
                remedy=f"chmod 600 {path}, and consider whether somebody has copied it.",
            )
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise StationError(
                f"{path} is not an unencrypted PKCS#8 PEM key",
                remedy="Restore the signing key from its backup.",
            ) from exc
        if not isinstance(key, PrivateKey):
            raise StationError(
                f"{path} holds no key that signs: neither Ed25519 nor P-256",
                remedy="Restore the signing key from its backup.",
            )
        return cls(private=key)

    @property
    def public(self) -> PublicKeyTypes:
        return self.private.public_key()

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(message, ec.ECDSA(SHA256()))
        return self.private.sign(message)


class Signer:
    """Signs a text as it is."""

    def __init__(self, name: str, key: SigningKey) -> None:
        """Raises ManifestError: the name cannot be a key's, or the key is of another kind."""
        self.verifier = VerifierKey.of(name, key.public)
        self._key = key

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class Cosigner:
    """Signs a checkpoint as a witness, with the time that `clock` tells."""

    def __init__(self, name: str, key: SigningKey, clock: Callable[[], datetime]) -> None:
        """Raises ManifestError: the name cannot be a key's, or the key is of another kind."""
        self.verifier = VerifierKey.of(name, key.public, cosigns=True)
        self._key, self._clock = key, clock

    def sign(self, message: bytes) -> bytes:
        if self.verifier.type is SignatureType.ECDSA:  # which has no form with a time
            return self._key.sign(message)
        time = int(self._clock().timestamp())
        if self.verifier.type is SignatureType.COSIGNATURE:
            signed = cosigned(message, time)
        else:
            signed = cosigned_head(self.verifier.name, message, time)
        return time.to_bytes(TIME) + self._key.sign(signed)
