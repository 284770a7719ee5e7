"""What an authenticator keeps without power: PIN, policies, credentials, large blobs, counter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tokenprov.sim.ctap.features import Features
from tokenprov.sim.ctap.keys import Algorithm
from tokenprov.sim.ctap.wire import CredentialProtection

MAX_PIN_RETRIES = 8  # CTAP 2.1, 6.5.2.2
EMPTY_LARGE_BLOBS = b"\x80" + hashlib.sha256(b"\x80").digest()[:16]  # CTAP 2.1, 6.10.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A credential, discoverable (kept here) or not (its id holds all of it).

    `created` orders the credentials of an RP; `user_id` is None for one that is not discoverable.
    """

    id: bytes
    rp_id_hash: bytes
    algorithm: Algorithm
    protection: CredentialProtection = CredentialProtection.UV_OPTIONAL
    hmac_secret: bool = False
    large_blob_key: bool = False
    rp_id: str | None = None
    user_id: bytes | None = None
    user_name: str | None = None
    user_display_name: str | None = None
    blob: bytes = b""
    created: int = 0

    @property
    def discoverable(self) -> bool:
        """Whether the authenticator finds it without being given its id."""
        return self.user_id is not None

    def dump(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def load(cls, data: dict[str, Any]) -> Credential:
        """From what `dump` gave."""
        values = dict(data)
        for name in ("id", "rp_id_hash", "blob", "user_id"):
            values[name] = _bytes(values[name])
        values["algorithm"] = Algorithm(values["algorithm"])
        values["protection"] = CredentialProtection(values["protection"])
        return cls(**values)


@dataclass(slots=True, kw_only=True)
class AuthenticatorState:
    """The lasting state. `secret` (32 bytes) is what all keys of credentials derive from."""

    secret: bytes
    min_pin_length: int
    always_uv: bool
    pin_hash: bytes | None = None  # the first 16 bytes of its SHA-256
    pin_length: int = 0  # code points
    pin_retries: int = MAX_PIN_RETRIES
    force_pin_change: bool = False
    min_pin_rp_ids: list[str] = field(default_factory=list)
    enterprise_attestation: bool = False
    large_blobs: bytes = EMPTY_LARGE_BLOBS
    counter: int = 0  # of signatures, over all credentials
    created: int = 0  # credentials so far
    credentials: list[Credential] = field(default_factory=list)

    @classmethod
    def factory(cls, features: Features, random: Callable[[int], bytes]) -> AuthenticatorState:
        """The state of a new authenticator, and of one that was reset."""
        return cls(
            secret=random(32), min_pin_length=features.min_pin_length, always_uv=features.always_uv
        )

    def dump(self) -> dict[str, Any]:
        """As JSON-able data."""
        data = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        data["credentials"] = [credential.dump() for credential in self.credentials]
        return data

    @classmethod
    def load(cls, data: dict[str, Any]) -> AuthenticatorState:
        """From what `dump` gave."""
        values = dict(data)
        for name in ("secret", "pin_hash", "large_blobs"):
            values[name] = _bytes(values[name])
        values["credentials"] = [Credential.load(entry) for entry in values["credentials"]]
        return cls(**values)

    def find(self, rp_id_hash: bytes) -> list[Credential]:
        """The discoverable credentials of an RP, newest first (CTAP 2.1, 6.2.2 step 12)."""
        found = [c for c in self.credentials if c.rp_id_hash == rp_id_hash]
        return sorted(found, key=lambda credential: -credential.created)

    def keep(self, credential: Credential) -> None:
        """Store a discoverable credential in place of one of the same RP and user, if any."""
        self.forget_user(credential)
        self.created += 1
        self.credentials.append(replace(credential, created=self.created))

    def forget_user(self, credential: Credential) -> None:
        """Remove the credential of the same RP and user (CTAP 2.1, 6.1.2 step 17)."""
        self.credentials = [c for c in self.credentials if not same_account(c, credential)]


def same_account(one: Credential, other: Credential) -> bool:
    """Whether both are of one RP and one user."""
    return one.rp_id_hash == other.rp_id_hash and one.user_id == other.user_id


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)
