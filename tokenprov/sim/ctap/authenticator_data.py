"""Authenticator data: the bytes that an authenticator signs (WebAuthn Level 2, 6.1)."""

from __future__ import annotations

from typing import Any

from tokenprov.sim.ctap import cbor
from tokenprov.sim.ctap.wire import AuthDataFlag


def authenticator_data(
    rp_id_hash: bytes,
    flags: AuthDataFlag,
    counter: int,
    attested: bytes = b"",
    extensions: dict[str, Any] | None = None,
) -> bytes:
    """RP ID hash (32), flags (1), counter (4), attested credential data, extension outputs.

    The flags for the last two follow from what is there.
    """
    if attested:
        flags |= AuthDataFlag.ATTESTED_CREDENTIAL
    if extensions:
        flags |= AuthDataFlag.EXTENSIONS
    data = rp_id_hash + bytes([flags]) + counter.to_bytes(4, "big") + attested
    return data + (cbor.encode(extensions) if extensions else b"")


def attested_credential_data(aaguid: bytes, id_: bytes, public_key: dict[int, Any]) -> bytes:
    """AAGUID (16), length of the id (2), id, COSE key (WebAuthn Level 2, 6.5.1)."""
    return aaguid + len(id_).to_bytes(2, "big") + id_ + cbor.encode(public_key)
