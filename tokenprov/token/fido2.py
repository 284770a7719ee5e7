"""A FIDO2 authenticator (CTAP 2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fido2.ctap2.base import AssertionResponse, AttestationResponse, Info


class FidoApplet(Protocol):
    """A FIDO2 authenticator (CTAP 2.1)."""

    @property
    def info(self) -> Info:
        """As the token says now (read again after each write)."""
        ...

    @property
    def u2f(self) -> bool:
        """Whether it does U2F as well, on any transport."""
        ...

    @property
    def enforces_complexity(self) -> bool | None:
        """Whether it refuses weak PINs; None where it cannot tell."""
        ...

    def pin_retries(self) -> tuple[int, bool]:
        """Tries left, and whether a power cycle is needed first (CTAP 2.1, 6.5.2.3)."""
        ...

    def set_pin(self, pin: str) -> None: ...
    def check_pin(self, pin: str) -> None:
        """Raises `AuthenticationFailed`; a PIN that must be changed counts as right."""
        ...

    def can_set_pin_policy(self) -> bool:
        """Whether a least PIN length and a change of the PIN can be demanded."""
        ...

    def set_minimum_pin_length(self, length: int, rp_ids: tuple[str, ...], pin: str) -> None:
        """In code points; the relying parties may learn it from then on. It never shrinks."""
        ...

    def enforce_complexity(self, pin: str) -> None: ...
    def force_pin_change(self, pin: str) -> None: ...
    def switch_always_uv_on(self, pin: str) -> None:
        """Nothing happens where it is on already."""
        ...

    def enable_enterprise_attestation(self, pin: str) -> None: ...
    def make_credential(
        self,
        client_data_hash: bytes,
        rp: Mapping[str, Any],
        user: Mapping[str, Any],
        parameters: list[Mapping[str, Any]],
        pin: str,
        reason: str,
        *,
        extensions: Mapping[str, Any] | None = None,
        enterprise: bool = False,
    ) -> AttestationResponse:
        """A discoverable credential; the token waits to be touched."""
        ...

    def make_mark(
        self,
        client_data_hash: bytes,
        rp: Mapping[str, Any],
        user: Mapping[str, Any],
        parameters: list[Mapping[str, Any]],
        reason: str,
    ) -> bytes:
        """The attestation object of a credential that is not discoverable, on a token without a
        PIN; the token waits to be touched.
        """
        ...

    def proof_of_mark(
        self, rp_id: str, client_data_hash: bytes, credential_ids: Sequence[bytes]
    ) -> AssertionResponse | None:
        """An assertion with one of these without touch and PIN; None where it has none of them."""
        ...

    def room(self, pin: str) -> int | None:
        """How many more discoverable credentials fit; None where the token cannot tell."""
        ...

    def get_assertion(
        self, rp_id: str, client_data_hash: bytes, credential_id: bytes, pin: str | None
    ) -> AssertionResponse | None:
        """An assertion without touch; None where the token does not know the credential."""
        ...

    def discoverable(self, rp_id: str, pin: str) -> tuple[tuple[bytes, bytes], ...]:
        """(user id, credential id) of what it holds for a relying party; `NotSupported` without."""
        ...

    def reset(self, reason: str) -> None:
        """Back to the factory, in the seconds after it was put in; the token waits for a touch."""
        ...
