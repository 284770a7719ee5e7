"""Signatures by keys on tokens, checked: PKCS#1 v1.5, ECDSA, EdDSA, and assertions of WebAuthn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from fido2.webauthn import AuthenticatorData, CollectedClientData

from tokenprov.attestation.fido import parse_attestation_object
from tokenprov.errors import AttestationError


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAssertion:
    """What an authenticator answered (WebAuthn Level 2, 5.2.2), with the client data it is over."""

    client_data: bytes
    auth_data: bytes
    signature: bytes


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature over the message is by that key (SubjectPublicKeyInfo, DER)."""
    key = load_der_public_key(public_key)
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                hashing = hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA256()
                key.verify(signature, message, ec.ECDSA(hashing))
            case rsa.RSAPublicKey():
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            case ed25519.Ed25519PublicKey():
                key.verify(signature, message)
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def verify_assertion(
    registration: bytes, rp_id: str, challenge: bytes, answer: SignedAssertion
) -> bool:
    """Whether the credential of a registration signed that challenge, its holder verified.

    `registration` is the attestation object (CBOR) by which the manifest has it. WebAuthn Level 2,
    7.2, steps 11 to 20; the counter is the relying party's to keep.
    """
    try:
        credential = parse_attestation_object(registration).auth_data.credential_data
        given = CollectedClientData(answer.client_data)
        data = AuthenticatorData(answer.auth_data)
        if credential is None:
            return False
        credential.public_key.verify(answer.auth_data + given.hash, answer.signature)
    except (InvalidSignature, AttestationError, ValueError, KeyError, IndexError, TypeError):
        return False
    return (
        given.type == CollectedClientData.TYPE.GET
        and given.challenge == challenge
        and given.origin == f"https://{rp_id}"
        and data.rp_id_hash == hashlib.sha256(rp_id.encode()).digest()
        and data.is_user_verified()
    )
