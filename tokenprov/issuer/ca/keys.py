"""Private keys of authorities: kinds, files, and the digest that each signs with.

Rules:
- A file is PKCS#8 PEM with mode 0600; one that others can read is refused.
- P-256, RSA and their certificates sign with SHA-256, P-384 with SHA-384 (SP 800-57 part 1, 5.6.1:
  a digest as strong as the key), Ed25519 has its own (RFC 8410, 3).
"""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tokenprov.errors import StationError
from tokenprov.record.files import create_durable

AuthorityKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PUBLIC_EXPONENT = 65537
_MIN_RSA = 3072  # bits: as strong as P-256 (SP 800-57 part 1, table 2)
_CURVES = (ec.SECP256R1, ec.SECP384R1)


class KeyKind(StrEnum):
    """Kinds of key that an authority may have."""

    P256 = "p256"
    P384 = "p384"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    ED25519 = "ed25519"


def generate(kind: KeyKind) -> AuthorityKey:
    """A new key."""
    match kind:
        case KeyKind.P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyKind.P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyKind.RSA3072 | KeyKind.RSA4096:
            return rsa.generate_private_key(_PUBLIC_EXPONENT, int(kind.removeprefix("rsa")))
        case KeyKind.ED25519:
            return ed25519.Ed25519PrivateKey.generate()


def digest_of(key: AuthorityKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """What a key signs with; None for Ed25519, which has its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return hashes.SHA384()
    return hashes.SHA256()


def write_key(path: Path, key: AuthorityKey) -> None:
    """Make the file, for its owner only. Raises FileExistsError, DurabilityError."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    create_durable(path, pem, mode=0o600)


def read_key(path: Path) -> AuthorityKey:
    """The key in a file. Raises `StationError` where it cannot or must not be used."""
    try:
        if os.name == "posix" and path.stat().st_mode & _OTHERS:
            raise StationError(
                f"{path} can be read by others",
                remedy=f"Run: chmod 600 {path}, and find out who read it.",
            )
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise StationError(
            f"{path} cannot be read as the authority's key",
            remedy="Restore it from a backup, with mode 0600.",
        ) from exc
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA:
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise StationError(
        f"{path} is no key for an authority",
        remedy=f"Restore it from a backup; known are: {', '.join(KeyKind)}.",
    )
