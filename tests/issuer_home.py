"""A station home's folder, as far as issuers go, and what is asked of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.certificate_requests import csr_of, p256, request_for
from tokenprov.issuer import CertificateRequest, Issuer
from tokenprov.issuer.choose import choose_issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerHome:
    """A folder with a file for the authority at `uri`, which has these keys."""

    path: Path
    name: str  # of the file
    uri: str
    keys: Mapping[str, Any]

    def keep(self, name: str, secret: str) -> None:
        """A file beside it, for the eyes of the station alone."""
        (self.path / "issuers").mkdir(exist_ok=True)
        (self.path / "issuers" / name).write_text(secret)
        (self.path / "issuers" / name).chmod(0o600)

    def issuer(self, *, uri: str = "", **changes: Any) -> Issuer:
        """The authority, by its file with these changes; None takes a key out."""
        uri = uri or self.uri
        keys = {"uri": uri, **self.keys, **changes}
        lines = [f"{key} = {value!r}" for key, value in keys.items() if value is not None]
        (self.path / "issuers").mkdir(exist_ok=True)
        (self.path / "issuers" / f"{self.name}.toml").write_text("\n".join(lines))
        return choose_issuer(uri, self.path)


def asked() -> CertificateRequest:
    """A request for a new key, signed by it."""
    key = p256()
    return request_for(key, csr=csr_of(key), attestation=None)


def now() -> datetime:
    """The time that a server has, too."""
    return datetime.now(UTC)
