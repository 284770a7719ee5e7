"""What a token can be asked, in the words of its standards. `device/` implements it.

Every method raises a `TokenError` (errors.py) and nothing else. Enumerations of wire values are
the maker's library's own: it is the vocabulary of PIV and OTP here, not a transport.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography import x509
from fido2.ctap2.base import AssertionResponse, AttestationResponse, Info
from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY
from yubikit.yubiotp import SlotConfiguration

from tokenprov.model import SecretKind, TokenId
from tokenprov.secret import Secret


class Keyring:
    """The secrets that this token may hold by now: the journalled ones, by kind and name.

    The factory values are not here: they are in the standards, and steps know them.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[SecretKind, str], Secret] = {}

    def put(self, kind: SecretKind, name: str, value: Secret) -> None:
        """Remember a journalled secret under its name, for example "piv/pin"."""
        self._held[kind, name] = value

    def get(self, kind: SecretKind) -> Secret | None:
        """The one secret of that kind, if there is one (PIN, PUK, management key)."""
        return next((value for (held, _), value in self._held.items() if held is kind), None)

    def __iter__(self) -> Iterator[tuple[SecretKind, str]]:
        return iter(self._held)


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
    def serial(self) -> str | None:
        """The serial by this applet on this connection; None where it has none."""
        ...

    def pin_tries(self) -> Tries: ...
    def puk_tries(self) -> Tries: ...
    def management_key_is_default(self) -> bool | None: ...
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
    def set_tries(self, pin: int, puk: int) -> None:
        """PIN and PUK go back to the factory's. Needs management key and PIN."""
        ...

    def set_management_key(self, algorithm: MANAGEMENT_KEY_TYPE, key: bytes) -> None: ...
    def key(self, slot: SLOT) -> KeyState | None:
        """The key in a slot; None where there is none. `NotSupported` where it cannot be told."""
        ...

    def generate_key(
        self, slot: SLOT, algorithm: KEY_TYPE, pin: PIN_POLICY, touch: TOUCH_POLICY
    ) -> bytes:
        """Generate, and give the public key (SubjectPublicKeyInfo, DER)."""
        ...

    def attest(self, slot: SLOT) -> tuple[bytes, bytes]:
        """The attestation of a key and the certificate of f9, DER. `NotSupported` without."""
        ...

    def sign(self, slot: SLOT, algorithm: KEY_TYPE, message: bytes) -> bytes:
        """ECDSA or RSA PKCS#1 with SHA-256 (SHA-384 for P-384), or Ed25519."""
        ...

    def object(self, object_id: int) -> bytes | None:
        """A data object; None where there is none."""
        ...

    def put_object(self, object_id: int, data: bytes) -> None: ...
    def certificate(self, slot: SLOT) -> bytes | None:
        """The certificate in a slot, DER; None where there is none."""
        ...

    def put_certificate(self, slot: SLOT, certificate: x509.Certificate) -> None: ...


class OtpApplet(Protocol):
    """The two OTP slots of a YubiKey."""

    @property
    def version(self) -> tuple[int, int, int]: ...
    def configured(self, slot: int) -> bool: ...
    def touch_triggered(self, slot: int) -> bool: ...
    def put(
        self,
        slot: int,
        configuration: SlotConfiguration,
        access_code: bytes | None,
        current_access_code: bytes | None,
    ) -> None:
        """Raises `AuthenticationFailed` when the slot is protected by another access code."""
        ...

    def hmac_sha1(self, slot: int, challenge: bytes) -> bytes: ...


class FidoApplet(Protocol):
    """A FIDO2 authenticator (CTAP 2.1)."""

    @property
    def info(self) -> Info:
        """As the token says now (read again after each write)."""
        ...

    def pin_retries(self) -> tuple[int, bool]:
        """Tries left, and whether a power cycle is needed first (CTAP 2.1, 6.5.2.3)."""
        ...

    def set_pin(self, pin: str) -> None: ...
    def check_pin(self, pin: str) -> None:
        """Raises `AuthenticationFailed`; a PIN that must be changed counts as right."""
        ...

    def can_force_pin_change(self) -> bool: ...
    def force_pin_change(self, pin: str) -> None: ...
    def make_credential(
        self,
        client_data_hash: bytes,
        rp: Mapping[str, Any],
        user: Mapping[str, Any],
        parameters: list[Mapping[str, Any]],
        pin: str,
        reason: str,
    ) -> AttestationResponse:
        """A discoverable credential; the token waits to be touched."""
        ...

    def get_assertion(
        self, rp_id: str, client_data_hash: bytes, credential_id: bytes, pin: str | None
    ) -> AssertionResponse | None:
        """An assertion without touch; None where the token does not know the credential."""
        ...

    def discoverable(self, rp_id: str, pin: str) -> tuple[tuple[bytes, bytes], ...]:
        """(user id, credential id) of what it holds for a relying party; `NotSupported` without."""
        ...


class Token(Protocol):
    """A token on an exclusive connection. One applet at a time is selected."""

    @property
    def id(self) -> TokenId: ...
    @property
    def reader(self) -> str: ...
    @property
    def keyring(self) -> Keyring: ...
    def piv(self) -> PivApplet: ...
    def otp(self) -> OtpApplet: ...
    def fido2(self) -> FidoApplet: ...
    def touch(self, reason: str) -> AbstractContextManager[None]:
        """Around a command for which the token waits to be touched."""
        ...
