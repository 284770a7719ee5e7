"""What steps need of the station, beside the token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from tokenprov.attestation import Anchors
from tokenprov.directory import RelyingParty
from tokenprov.issuer import Issuer


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

    def issuer(self, name: str) -> Issuer:
        """The authority that a profile names so. Raises `IssuerError`, `StationError`."""
        ...

    def relying_party(self, rp_id: str, rp_name: str) -> RelyingParty:
        """The relying party that credentials are registered at."""
        ...
