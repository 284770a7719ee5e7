"""A FIDO2 authenticator (CTAP 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from fido2.ctap2.base import AssertionResponse, AttestationResponse, Info


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
