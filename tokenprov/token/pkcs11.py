"""A token behind a PKCS#11 module, on which one key pair has one id (PKCS #11 3.1)."""

from __future__ import annotations

from typing import Protocol

from tokenprov.pkcs11 import Found, KeyPair, TokenInfo
from tokenprov.pkcs11.values import Algorithm, PublicKey
from tokenprov.secret import Secret


class Pkcs11Applet(Protocol):
    """What is asked of the token; secrets are given with each request."""

    def info(self) -> TokenInfo:
        """What its module says of it now. Raises `TokenGone`."""
        ...

    def pin_lengths(self) -> tuple[int, int]:
        """The least and the most characters of its PINs; zeros where it does not say."""
        ...

    def initialise(self, label: str, so_pin: Secret) -> None:
        """All that is on it goes; the SO PIN is set on a blank one, and must be right on others."""
        ...

    def change_so_pin(self, old: Secret, new: Secret) -> None: ...
    def set_user_pin(self, so_pin: Secret, pin: Secret) -> None:
        """By the security officer, whatever it was before."""
        ...

    def log_in(self, pin: Secret) -> None:
        """Raises `AuthenticationFailed`, which costs a try."""
        ...

    def log_in_officer(self, so_pin: Secret) -> None:
        """Raises `AuthenticationFailed`, which costs a try."""
        ...

    def objects(self, pin: Secret | None = None) -> Found:
        """What is on it; without the PIN, what everybody may see."""
        ...

    def generate(self, pin: Secret, algorithm: Algorithm, id: bytes, label: str) -> KeyPair: ...
    def sign(self, pin: Secret, public: PublicKey, id: bytes, message: bytes) -> bytes:
        """As X.509 has it: SHA-384 on P-384, SHA-256 else, or Ed25519."""
        ...

    def put_certificate(self, pin: Secret, der: bytes, id: bytes, label: str) -> None: ...
    def remove_certificate(self, pin: Secret, der: bytes, id: bytes) -> None:
        """Nothing where it is not there."""
        ...
