"""YubiHSM Auth: credentials that open sessions with a YubiHSM 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from yubikit.hsmauth import ALGORITHM


@dataclass(frozen=True, slots=True, kw_only=True)
class HsmAuthCredential:
    """A credential as the token lists it. Its password has `tries` left; then it is deleted."""

    label: str
    algorithm: ALGORITHM
    touch: bool
    tries: int


class HsmAuthApplet(Protocol):
    """YubiHSM Auth. Management keys have 16 bytes; a wrong one, or a wrong password, is counted.

    What takes one raises `AuthenticationFailed` with `retries_left`.
    """

    @property
    def version(self) -> tuple[int, int, int]: ...
    def management_key_tries(self) -> int: ...
    def probe_management_key(self, key: bytes) -> None:
        """Whether it is this one, without a write: a credential that is not there is deleted."""
        ...

    def change_management_key(self, old: bytes, new: bytes) -> None: ...
    def credentials(self) -> tuple[HsmAuthCredential, ...]: ...
    def put_symmetric(
        self, management_key: bytes, label: str, keys: bytes, password: str, *, touch: bool
    ) -> None:
        """K-ENC and K-MAC, 16 bytes each, one after the other."""
        ...

    def generate(self, management_key: bytes, label: str, password: str, *, touch: bool) -> None:
        """A key for P-256 that the token makes."""
        ...

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey: ...
    def challenge(self, label: str, password: str) -> bytes:
        """For P-256: the public part of a key that serves for the next session, as a point."""
        ...

    def session_keys(
        self,
        label: str,
        context: bytes,
        password: str,
        *,
        hsm: ec.EllipticCurvePublicKey | None = None,
        receipt: bytes | None = None,
    ) -> bytes:
        """S-ENC, S-MAC and S-RMAC, 48 bytes; for P-256 with the HSM's key and its receipt."""
        ...
