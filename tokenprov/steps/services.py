"""What steps need of the station, beside the token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from tokenprov.attestation import Anchors
from tokenprov.directory import RelyingParty
from tokenprov.issuer import Issuer
from tokenprov.secret import Secret


class Services(Protocol):
    """What steps need of the station."""

    @property
    def anchors(self) -> Anchors:
        """Whose attestations count."""
        ...

    @property
    def clock(self) -> Callable[[], datetime]:
        """The time, aware of its zone."""
        ...

    def card_key(self, name: str) -> Secret:
        """The management key of that name, which cards came with. Raises `StationError`."""
        ...

    def issuer(self, name: str) -> Issuer:
        """The authority that a profile names so. Raises `IssuerError`, `StationError`."""
        ...

    def relying_party(self, rp_id: str, rp_name: str) -> RelyingParty:
        """The relying party that credentials are registered at."""
        ...
