"""A person's key: the public half that is on record for them, and a file that signs for them.

Ed25519 or ECDSA on P-256, as `note` has them: P-256 is what cards and HSMs sign with.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tokenprov.errors import InputError
from tokenprov.record.verifier_key import SignatureType, VerifierKey, spki
from tokenprov.secret import Secret


class KeyInFile:
    """Implements `note.NoteSigner` with a private key that was read from a PKCS#8 PEM file."""

    def __init__(self, name: str, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        self._key = key
        self._verifier = public_key(name, key.public_key())

    @classmethod
    def load(cls, name: str, path: Path, passphrase: Secret | None = None) -> KeyInFile:
        """The key of `name` in a file. Raises InputError."""
        try:
            pem = path.read_bytes()
        except OSError as exc:
            raise InputError(
                f"{path} cannot be read: {exc.strerror}", remedy="Check the path."
            ) from exc
        try:
            key = serialization.load_pem_private_key(
                pem, password=passphrase.reveal() if passphrase else None
            )
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise InputError(
                f"{path} cannot be used to sign: it is no private key in PEM form, or its"
                f" passphrase is {'another' if passphrase else 'missing'}",
                remedy="Name the file of your private key; --passphrase asks for its passphrase.",
            ) from exc
        if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise _other(str(path))
        return cls(name, key)

    @property
    def verifier(self) -> VerifierKey:
        return self._verifier

    @property
    def name(self) -> str:
        return self._verifier.name

    @property
    def key_id(self) -> bytes:
        return self._verifier.key_id

    def sign(self, message: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


def public_key(name: str, key: object) -> VerifierKey:
    """A public key as the verifier key of `name`. Raises InputError: of another algorithm."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return VerifierKey(name=name, type=SignatureType.ED25519, key=key.public_bytes_raw())
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return VerifierKey(name=name, type=SignatureType.ECDSA, key=spki(key))
    raise _other("the key")


def load_public_key(name: str, path: Path) -> VerifierKey:
    """The public key of `name` in a PEM file. Raises InputError."""
    try:
        return public_key(name, serialization.load_pem_public_key(path.read_bytes()))
    except OSError as exc:
        raise InputError(
            f"{path} cannot be read: {exc.strerror}", remedy="Check the path."
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise InputError(
            f"{path} is no public key in PEM form",
            remedy="Ask for the file that begins with BEGIN PUBLIC KEY.",
        ) from exc


def _other(what: str) -> InputError:
    return InputError(
        f"{what} is neither Ed25519 nor on P-256",
        remedy="Make one: openssl genpkey -algorithm ed25519 -out me.key;"
        " openssl pkey -in me.key -pubout -out me.pem",
    )
