"""Envelopes: one secret sealed to one key, with a context that cannot be changed.

An envelope is RFC 8785 JSON:

    {"ciphertext": base64 of enc || ct, "context": {…}, "kid": …, "suite": …, "v": 1}

Rules:
- HPKE in base mode (RFC 9180, 5.1.1), by the suite of the recipient's key (`custodian_key`).
- `info` is "tokenprov/envelope/v1", a newline, and the canonical form of the envelope without its
  ciphertext. So no member can be changed: it would not open.
- An error says which envelope and which key, never what is in either.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.errors import EscrowError
from tokenprov.model import Json, Purpose, SecretKind
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical
from tokenprov.record.custodian_key import (
    CustodianKey,
    CustodianKeys,
    EnvelopeSuite,
    KeyInMemory,
    PrivateKey,
    generate_custodian,
    generate_hybrid,
    load_key,
    load_private,
    load_public,
    private_from_pem,
)
from tokenprov.record.verifier_key import strict_base64
from tokenprov.secret import Secret

__all__ = [
    "STATION",
    "VERSION",
    "CustodianKey",
    "CustodianKeys",
    "EnvelopeSuite",
    "KeyInMemory",
    "PrivateKey",
    "SealContext",
    "generate_custodian",
    "generate_hybrid",
    "load_key",
    "load_private",
    "load_public",
    "open_envelope",
    "private_from_pem",
    "read_context",
    "seal",
]

STATION = "station"  # the purpose of the station's own copy while an order is open
VERSION = 1

_DOMAIN = b"tokenprov/envelope/v1\n"
_MEMBERS = {"ciphertext", "context", "kid", "suite", "v"}
_PURPOSES = frozenset({*map(str, Purpose), STATION})
_TAG = 16  # bytes: the tag of AES-GCM


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


def seal(secret: Secret, recipient: CustodianKey, context: SealContext) -> bytes:
    """The envelope that only the recipient's private key opens."""
    header = canonical(_header(recipient.suite, recipient.kid, context))
    sealed = recipient.encrypt(secret.reveal(), _DOMAIN + header)
    # canonical as a whole: "ciphertext" is the first of the names (RFC 8785, 3.2.3)
    return b'{"ciphertext":"' + base64.b64encode(sealed) + b'",' + header[1:]


def read_context(envelope: bytes) -> tuple[SealContext, str]:
    """What an envelope says it is about, and the kid of who may open it.

    Nothing is proved by it until the envelope is opened. Raises EscrowError.
    """
    context, _, kid, _ = _parse(envelope)
    return context, kid


def open_envelope(
    envelope: bytes, private_key: ec.EllipticCurvePrivateKey | PrivateKey
) -> tuple[SealContext, Secret]:
    """The secret, and its context, now proved. Raises EscrowError: another key's, or changed."""
    context, suite, kid, sealed = _parse(envelope)
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        private_key = KeyInMemory(private=private_key)
    own = private_key.recipient.kid
    if own != kid:
        raise EscrowError(
            f"the envelope of {context.name} for token {context.token} is sealed to key {kid}, "
            f"and this is key {own}",
            remedy=f"Open it with the private key of {context.purpose}.",
        )
    info = _DOMAIN + canonical(_header(suite, kid, context))
    try:
        return context, Secret(private_key.decrypt(sealed, info))
    except InvalidTag as exc:
        raise EscrowError(
            f"the envelope of {context.name} for token {context.token} does not open: it was "
            "changed after it was sealed",
            remedy="Take it from another copy: the ledger and the manifest each hold one.",
        ) from exc


def _header(suite: EnvelopeSuite, kid: str, context: SealContext) -> dict[str, Json]:
    return {
        "v": VERSION,
        "suite": str(suite),
        "kid": kid,
        "context": context.to_json(),
    }


def _parse(envelope: bytes) -> tuple[SealContext, EnvelopeSuite, str, bytes]:
    try:
        document = parse_canonical(envelope)
    except CanonicalError as exc:
        raise _unreadable(exc.message) from exc
    if not isinstance(document, dict) or document.keys() != _MEMBERS:
        raise _unreadable("it has other members than it should")
    if document["v"] != VERSION or document["suite"] not in [*EnvelopeSuite]:
        raise _unreadable(f"version {document['v']!r}, suite {document['suite']!r} is not known")
    suite, kid, encoded = EnvelopeSuite(document["suite"]), document["kid"], document["ciphertext"]
    sealed = strict_base64(encoded) if isinstance(encoded, str) else None
    if not isinstance(kid, str) or sealed is None or len(sealed) < suite.enc + _TAG:
        raise _unreadable("its kid or its ciphertext is malformed")
    return SealContext.from_json(document["context"]), suite, kid, sealed


def _unreadable(what: str) -> EscrowError:
    return EscrowError(
        f"the envelope cannot be read: {what}",
        remedy="Take it from another copy, or read it with the version of tokenprov that made it.",
    )
