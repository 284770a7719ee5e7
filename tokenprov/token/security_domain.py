"""The keys by which commands to a token are secured (GlobalPlatform Amendments D and F)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tokenprov.secret import Secret

SCP03_KEY_SIZE = 16  # bytes; the maker has AES-128 alone
SCP03_SET_SIZE = 3 * SCP03_KEY_SIZE  # K-ENC, K-MAC, K-DEK
FACTORY_SET = 0xFF  # version of the key set that everybody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Scp03:
    """A channel by a set of static keys; `keys` is K-ENC, K-MAC, K-DEK, None for the factory's."""

    version: int
    keys: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scp11b:
    """A channel to the token that has the private key of this one."""

    version: int
    public_key: bytes  # SubjectPublicKeyInfo, DER


SecureChannel = Scp03 | Scp11b


@dataclass(frozen=True, slots=True, order=True)
class DomainKey:
    """One key of the security domain: what it is for, and its version (GPC 11.1.10)."""

    id: int
    version: int


class SecurityDomainApplet(Protocol):
    """The keys by which commands to a token are secured."""

    def key_references(self) -> tuple[DomainKey, ...]:
        """Which there are; their values never leave the token."""
        ...

    def certificates(self, key: DomainKey) -> tuple[bytes, ...]:
        """The certificates of an SCP11 key, DER, the key's own one last; () where it has none."""
        ...

    def opens(self, channel: SecureChannel) -> bool:
        """Whether a channel can be opened so. A wrong key set costs one of its 64 tries."""
        ...

    def put_key_set(self, version: int, keys: Secret) -> None:
        """Put K-ENC, K-MAC and K-DEK in the place of the factory's set, in one command.

        Raises `AuthenticationFailed` where the factory's set does not open a channel.
        """
        ...
