"""Credential ids and what derives from them.

All secrets derive from the authenticator's own (`AuthenticatorState.secret`), which a reset
replaces. The id of a credential that is not discoverable is 64 bytes that hold the credential
itself, bound to its RP; only this authenticator can make one or read it:

    nonce (30) | algorithm (1) | protection, with 0x80 for hmac-secret (1) | HMAC-SHA-256 (32)

The id of a discoverable credential is random, so that a deleted one is gone for good.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from tokenprov.sim.ctap.keys import Algorithm
from tokenprov.sim.ctap.state import AuthenticatorState, Credential
from tokenprov.sim.ctap.wire import CredentialProtection

NONCE_LENGTH = 30
HEAD_LENGTH = NONCE_LENGTH + 2
WRAPPED_LENGTH = HEAD_LENGTH + 32
DISCOVERABLE_LENGTH = 48
HMAC_SECRET_BIT = 0x80


def wrap(
    state: AuthenticatorState,
    random: Callable[[int], bytes],
    rp_id_hash: bytes,
    algorithm: Algorithm,
    protection: CredentialProtection,
    hmac_secret: bool,
) -> Credential:
    """Make a credential that is not discoverable."""
    meta = protection | (HMAC_SECRET_BIT if hmac_secret else 0)
    head = random(NONCE_LENGTH) + algorithm.to_bytes(1, "big", signed=True) + bytes([meta])
    return Credential(
        id=head + _tag(state, head, rp_id_hash),
        rp_id_hash=rp_id_hash,
        algorithm=algorithm,
        protection=protection,
        hmac_secret=hmac_secret,
    )


def lookup(state: AuthenticatorState, rp_id_hash: bytes, id_: bytes) -> Credential | None:
    """The credential with that id and RP: a discoverable one, or the one within the id."""
    for credential in state.credentials:
        if credential.id == id_:
            return credential if credential.rp_id_hash == rp_id_hash else None
    if len(id_) != WRAPPED_LENGTH:
        return None
    head, tag = id_[:HEAD_LENGTH], id_[HEAD_LENGTH:]
    if not hmac.compare_digest(_tag(state, head, rp_id_hash), tag):
        return None
    return Credential(
        id=id_,
        rp_id_hash=rp_id_hash,
        algorithm=Algorithm(int.from_bytes(head[-2:-1], "big", signed=True)),
        protection=CredentialProtection(head[-1] & ~HMAC_SECRET_BIT),
        hmac_secret=bool(head[-1] & HMAC_SECRET_BIT),
    )


def key_secret(state: AuthenticatorState, credential: Credential) -> bytes:
    """The 64 bytes that the credential's private key derives from."""
    return _derive(state, b"key", credential, "sha512")


def hmac_secret(state: AuthenticatorState, credential: Credential, user_verified: bool) -> bytes:
    """CredRandom, 32 bytes, one with and one without user verification (CTAP 2.1, 12.5)."""
    return _derive(state, b"with UV" if user_verified else b"without UV", credential)


def large_blob_key(state: AuthenticatorState, credential: Credential) -> bytes:
    """The largeBlobKey, 32 bytes (CTAP 2.1, 12.3)."""
    return _derive(state, b"large blob", credential)


def _derive(
    state: AuthenticatorState, purpose: bytes, credential: Credential, digest: str = "sha256"
) -> bytes:
    return hmac.digest(
        state.secret, purpose + b"\0" + credential.rp_id_hash + credential.id, digest
    )


def _tag(state: AuthenticatorState, head: bytes, rp_id_hash: bytes) -> bytes:
    return hmac.digest(state.secret, b"id\0" + rp_id_hash + head, "sha256")
