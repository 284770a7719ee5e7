"""OATH: accounts that give one-time codes, by the maker's "YKOATH Protocol"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData


@dataclass(frozen=True, slots=True, kw_only=True)
class OathAccount:
    """An account as the token lists it. `touch` is None where it does not say (HOTP)."""

    id: bytes  # "issuer:name", and "60/" before it for another period than 30 seconds
    kind: OATH_TYPE
    algorithm: HASH_ALGORITHM
    touch: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OathResponse:
    """A whole HMAC, and how many digits a code made of it has."""

    digits: int
    hmac: bytes


class OathApplet(Protocol):
    """OATH (YKOATH). With a password set, nothing below works before `unlock`."""

    @property
    def version(self) -> tuple[int, int, int]: ...
    @property
    def has_password(self) -> bool: ...
    @property
    def locked(self) -> bool:
        """Whether the password has to be given before anything else."""
        ...

    def reconnect(self) -> None:
        """Select it anew: a password that is set must be given again."""
        ...

    def unlock(self, password: str) -> None:
        """Raises `AuthenticationFailed`; no tries are counted."""
        ...

    def set_password(self, password: str) -> None: ...
    def accounts(self) -> tuple[OathAccount, ...]: ...
    def put(self, account: CredentialData, *, touch: bool) -> None:
        """Write an account, over one of the same name."""
        ...

    def delete(self, account: bytes) -> None: ...
    def calculate(self, account: bytes, challenge: bytes) -> OathResponse:
        """The response to a challenge; a HOTP account counts on instead, and ignores it."""
        ...
