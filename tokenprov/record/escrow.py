"""Envelopes: one secret sealed to one key, with a context that cannot be changed.

An envelope is RFC 8785 JSON:

    {"ciphertext": base64 of enc || ct, "context": {…}, "kid": …, "suite": …, "v": 1}

Rules:
- HPKE in base mode (RFC 9180, 5.1.1): DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; `enc`
  is the 65 bytes of the uncompressed point.
- `info` is "tokenprov/envelope/v1", a newline, and the canonical form of the envelope without its
  ciphertext. So no member can be changed: it would not open.
- `kid` is the beginning of SHA-256 over the recipient's SubjectPublicKeyInfo, 8 bytes in hex.
- An error says which envelope and which key, never what is in either.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.errors import EscrowError
from tokenprov.model import Json, Purpose, SecretKind
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical
from tokenprov.record.verifier_key import strict_base64
from tokenprov.secret import Secret

STATION = "station"  # the purpose of the station's own copy while an order is open
VERSION = 1

_DOMAIN = b"tokenprov/envelope/v1\n"
_KID = 8  # bytes
_MEMBERS = {"ciphertext", "context", "kid", "suite", "v"}
_PURPOSES = frozenset({*map(str, Purpose), STATION})
_OVERHEAD = 65 + 16  # bytes: enc (RFC 9180, 7.1: Nenc of P-256) and the tag of AES-GCM


class EnvelopeSuite(StrEnum):
    """The ways to seal; a new one is a new value beside `v` 1."""

    P256 = "DHKEM-P256-HKDF-SHA256/HKDF-SHA256/AES-256-GCM"  # RFC 9180: 0x0010, 0x0001, 0x0002


_HPKE = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealContext:
    """What an envelope is about; all of it is public, and all of it is bound."""

    kind: SecretKind
    name: str  # the secret within its order: "piv/puk"
    token: str  # TokenId.label
    order: str
    generation: int  # counts up when the secret is drawn anew, from 1
    purpose: str  # a Purpose, or STATION
    station: str

    def to_json(self) -> dict[str, Json]:
        """As it stands in the envelope."""
        return {
            "kind": str(self.kind),
            "name": self.name,
            "token": self.token,
            "order": self.order,
            "generation": self.generation,
            "purpose": str(self.purpose),
            "station": self.station,
        }

    @classmethod
    def from_json(cls, document: Json) -> SealContext:
        """The inverse. Raises EscrowError: a member missing, added or of the wrong type."""
        texts = {"kind", "name", "token", "order", "purpose", "station"}
        if not isinstance(document, dict) or document.keys() != texts | {"generation"}:
            raise _unreadable("its context has other members than it should")
        if not all(isinstance(document[name], str) for name in texts):
            raise _unreadable("a member of its context is no text")
        if type(document["generation"]) is not int or document["generation"] < 1:
            raise _unreadable("its generation is not a number from 1")
        if document["purpose"] not in _PURPOSES:
            raise _unreadable(f"no custodian has the purpose {document['purpose']!r}")
        if document["kind"] not in set(SecretKind):
            raise _unreadable(f"no kind of secret is called {document['kind']!r}")
        return cls(**{**document, "kind": SecretKind(document["kind"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianKey:
    """The public key that secrets are sealed to."""

    public: ec.EllipticCurvePublicKey
    kid: str = field(init=False)  # 16 hex digits that name the key

    def __post_init__(self) -> None:
        spki = self.public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        object.__setattr__(self, "kid", hashlib.sha256(spki).digest()[:_KID].hex())

    def to_pem(self) -> bytes:
        """SubjectPublicKeyInfo PEM."""
        return self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def from_pem(cls, pem: bytes) -> CustodianKey:
        """Read SubjectPublicKeyInfo PEM. Raises EscrowError: not that, or not on P-256."""
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise EscrowError(
                "not a public key in PEM form",
                remedy="Ask the custodian for the file that begins with BEGIN PUBLIC KEY.",
            ) from exc
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise EscrowError(
                "the custodian's key is not on P-256",
                remedy="Have the custodian make a P-256 key pair.",
            )
        return cls(public=key)


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

    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def recipient(self) -> CustodianKey:
        """Its public half."""
        return CustodianKey(public=self.private.public_key())

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """By the library. Raises InvalidTag."""
        return _HPKE.decrypt(sealed, self.private, info=info)


def load_public(path: Path) -> CustodianKey:
    """The custodian's public key in a PEM file. Raises EscrowError."""
    return CustodianKey.from_pem(_read(path))


def load_private(path: Path, passphrase: Secret | None = None) -> ec.EllipticCurvePrivateKey:
    """The custodian's private key in a PKCS#8 PEM file. Raises EscrowError."""
    return private_from_pem(_read(path), passphrase)


def private_from_pem(pem: bytes, passphrase: Secret | None = None) -> ec.EllipticCurvePrivateKey:
    """The private key in PKCS#8 PEM. Raises EscrowError, which tells a passphrase from a file."""
    try:
        key = serialization.load_pem_private_key(
            pem, password=passphrase.reveal() if passphrase else None
        )
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
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise EscrowError(
            "the private key is not on P-256",
            remedy="Use the custodian's key that belongs to the envelope.",
        )
    return key


def generate_custodian(passphrase: Secret | None = None) -> tuple[bytes, bytes]:
    """A new key pair: PKCS#8 PEM (encrypted where there is a passphrase), and the public PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase.reveal())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def seal(secret: Secret, recipient: CustodianKey, context: SealContext) -> bytes:
    """The envelope that only the recipient's private key opens."""
    header = canonical(_header(recipient.kid, context))
    sealed = _HPKE.encrypt(secret.reveal(), recipient.public, info=_DOMAIN + header)
    # canonical as a whole: "ciphertext" is the first of the names (RFC 8785, 3.2.3)
    return b'{"ciphertext":"' + base64.b64encode(sealed) + b'",' + header[1:]


def read_context(envelope: bytes) -> tuple[SealContext, str]:
    """What an envelope says it is about, and the kid of who may open it.

    Nothing is proved by it until the envelope is opened. Raises EscrowError.
    """
    context, kid, _ = _parse(envelope)
    return context, kid


def open_envelope(
    envelope: bytes, private_key: ec.EllipticCurvePrivateKey | PrivateKey
) -> tuple[SealContext, Secret]:
    """The secret, and its context, now proved. Raises EscrowError: another key's, or changed."""
    context, kid, sealed = _parse(envelope)
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        private_key = KeyInMemory(private=private_key)
    own = private_key.recipient.kid
    if own != kid:
        raise EscrowError(
            f"the envelope of {context.name} for token {context.token} is sealed to key {kid}, "
            f"and this is key {own}",
            remedy=f"Open it with the private key of {context.purpose}.",
        )
    info = _DOMAIN + canonical(_header(kid, context))
    try:
        return context, Secret(private_key.decrypt(sealed, info))
    except InvalidTag as exc:
        raise EscrowError(
            f"the envelope of {context.name} for token {context.token} does not open: it was "
            "changed after it was sealed",
            remedy="Take it from another copy: the ledger and the manifest each hold one.",
        ) from exc


def _header(kid: str, context: SealContext) -> dict[str, Json]:
    return {
        "v": VERSION,
        "suite": str(EnvelopeSuite.P256),
        "kid": kid,
        "context": context.to_json(),
    }


def _parse(envelope: bytes) -> tuple[SealContext, str, bytes]:
    try:
        document = parse_canonical(envelope)
    except CanonicalError as exc:
        raise _unreadable(exc.message) from exc
    if not isinstance(document, dict) or document.keys() != _MEMBERS:
        raise _unreadable("it has other members than it should")
    if document["v"] != VERSION or document["suite"] != EnvelopeSuite.P256:
        raise _unreadable(f"version {document['v']!r}, suite {document['suite']!r} is not known")
    kid, encoded = document["kid"], document["ciphertext"]
    sealed = strict_base64(encoded) if isinstance(encoded, str) else None
    if not isinstance(kid, str) or sealed is None or len(sealed) < _OVERHEAD:
        raise _unreadable("its kid or its ciphertext is malformed")
    return SealContext.from_json(document["context"]), kid, sealed


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise EscrowError(
            f"{path} cannot be read: {exc.strerror}", remedy="Check the path and its permissions."
        ) from exc


def _unreadable(what: str) -> EscrowError:
    return EscrowError(
        f"the envelope cannot be read: {what}",
        remedy="Take it from another copy, or read it with the version of tokenprov that made it.",
    )
