"""PIV (SP 800-73-4), with what YubiKeys add where the token has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | x25519.X25519PrivateKey
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """Tries of a PIN or PUK. None: this token does not say."""

    remaining: int | None
    total: int | None
    is_default: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """A private key in a PIV slot, as metadata or its attestation shows it."""

    public_key: bytes  # SubjectPublicKeyInfo, DER
    algorithm: KEY_TYPE
    pin_policy: PIN_POLICY | None
    touch_policy: TOUCH_POLICY | None
    generated: bool | None


class PivApplet(Protocol):
    """PIV (SP 800-73-4), with what YubiKeys add where the token has it."""

    @property
    def version(self) -> tuple[int, int, int]: ...
    @property
    def has_extensions(self) -> bool:
        """Whether it has commands beyond the standard: for tries, management key, attestation."""
        ...

    def serial(self) -> str | None:
        """The serial by this applet on this connection; None where it has none."""
        ...

    def pin_tries(self) -> Tries: ...
    def puk_tries(self) -> Tries: ...
    def management_key_is_default(self) -> bool | None: ...
    def management_key_touch(self) -> bool | None:
        """Whether its use waits for a touch; None where the token does not say."""
        ...

    def has_fingerprints(self) -> bool:
        """Whether the token has a fingerprint reader that PIV keys can ask for."""
        ...

    @property
    def management_key_type(self) -> MANAGEMENT_KEY_TYPE: ...
    @property
    def authenticated(self) -> bool: ...
    @property
    def pin_verified(self) -> bool: ...
    def authenticate(self, key: bytes) -> None:
        """Management key authentication. Raises `AuthenticationFailed`; no tries are counted."""
        ...

    def verify_pin(self, pin: str) -> None:
        """Raises `AuthenticationFailed` with `retries_left`, `AuthenticationBlocked` at none."""
        ...

    def change_pin(self, old: str, new: str) -> None: ...
    def change_puk(self, old: str, new: str) -> None: ...
    def unblock_pin(self, puk: str, new: str) -> None:
        """Set a new PIN by the PUK; its tries are full then. Raises as `verify_pin` does."""
        ...

    def set_tries(self, pin: int, puk: int) -> None:
        """PIN and PUK go back to the factory's. Needs management key and PIN."""
        ...

    def set_management_key(
        self, algorithm: MANAGEMENT_KEY_TYPE, key: bytes, *, touch: bool = False
    ) -> None: ...
    def key(self, slot: SLOT) -> KeyState | None:
        """The key in a slot; None where there is none. `NotSupported` where it cannot be told."""
        ...

    def generate_key(
        self, slot: SLOT, algorithm: KEY_TYPE, pin: PIN_POLICY, touch: TOUCH_POLICY
    ) -> bytes:
        """Generate, and give the public key (SubjectPublicKeyInfo, DER)."""
        ...

    def import_key(self, slot: SLOT, key: PrivateKey, pin: PIN_POLICY, touch: TOUCH_POLICY) -> None:
        """Write a private key, over whatever is there."""
        ...

    def attest(self, slot: SLOT) -> tuple[bytes, bytes]:
        """The attestation of a key and the certificate of f9, DER. `NotSupported` without."""
        ...

    def sign(self, slot: SLOT, algorithm: KEY_TYPE, message: bytes) -> bytes:
        """ECDSA or RSA PKCS#1 with SHA-256 (SHA-384 for P-384), or Ed25519."""
        ...

    def object(self, object_id: int) -> bytes | None:
        """A data object; None where there is none. Some want the PIN (part 1, table 2)."""
        ...

    def put_object(self, object_id: int, data: bytes) -> None: ...
    def certificate(self, slot: SLOT) -> bytes | None:
        """The certificate in a slot, DER; None where there is none."""
        ...

    def put_certificate(
        self, slot: SLOT, certificate: x509.Certificate, *, compress: bool = False
    ) -> None: ...
