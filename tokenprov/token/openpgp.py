"""OpenPGP (the smart card application 3.4, OPGP), with what YubiKeys add."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from yubikit.openpgp import (
    KEY_REF,
    OID,
    PIN_POLICY,
    RSA_SIZE,
    UIF,
    DiscretionaryDataObjects,
    PublicKey,
)

__all__ = [
    "KEY_REF",
    "OID",
    "PIN_POLICY",
    "RSA_SIZE",
    "UIF",
    "Cardholder",
    "DiscretionaryDataObjects",
    "OpenPgpApplet",
    "PublicKey",
]


class Cardholder(Enum):
    """What a card says about its holder and where their public key is (OPGP 4.4.1)."""

    NAME = 0x5B
    LANGUAGE = 0x5F2D
    LOGIN = 0x5E
    URL = 0x5F50


class OpenPgpApplet(Protocol):
    """OpenPGP. Every password that is refused raises `AuthenticationFailed` with `retries_left`."""

    @property
    def version(self) -> tuple[int, int, int]: ...
    def state(self) -> DiscretionaryDataObjects:
        """Tries, and what is said of each key; read anew."""
        ...

    @property
    def admin_verified(self) -> bool: ...
    @property
    def user_verified(self) -> bool:
        """Whether the user PIN was given for signatures, in this session."""
        ...

    def verify_admin(self, pin: str) -> None: ...
    def verify_user(self, pin: str) -> None: ...
    def change_admin(self, old: str, new: str) -> None: ...
    def change_user(self, old: str, new: str) -> None: ...
    def set_tries(self, user: int, reset: int, admin: int) -> None: ...
    def set_reset_code(self, code: str) -> None: ...
    def reset_user_pin(self, code: str, new: str) -> None:
        """A new user PIN, with the reset code."""
        ...

    def set_signature_pin(self, policy: PIN_POLICY) -> None: ...
    def cardholder(self, what: Cardholder) -> bytes:
        """Empty where nothing was written."""
        ...

    def put_cardholder(self, what: Cardholder, data: bytes) -> None: ...
    def public_key(self, slot: KEY_REF) -> PublicKey | None: ...
    def generate(self, slot: KEY_REF, algorithm: RSA_SIZE | OID) -> PublicKey: ...
    def set_time(self, slot: KEY_REF, seconds: int) -> None:
        """When the key was made, in seconds since 1970 (RFC 4880, 5.5.2)."""
        ...

    def set_fingerprint(self, slot: KEY_REF, fingerprint: bytes) -> None: ...
    def set_touch(self, slot: KEY_REF, touch: UIF) -> None: ...
    def attest(self, slot: KEY_REF) -> None:
        """Put an attestation where the key's certificate goes; with the user PIN verified."""
        ...

    def attestation(self, slot: KEY_REF) -> tuple[bytes, bytes] | None:
        """What stands there, and the attestation key's certificate, DER. `NotSupported` without."""
        ...
