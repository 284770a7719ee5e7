"""The folder of an authority: its files, its settings, and the lock that its writers hold.

    ca.toml         settings; left out: the defaults
    ca.key          its private key, mode 0600; not there where the key is in a PKCS#11 token
    ca.pem          its certificate; not there while another authority is still to sign it
    chain.pem       the certificates above it, nearest first; not there if it is a root
    ca.csr          what that other authority is to sign
    requests/       what it issued (`issued`)
    crl/            number, whole.crl, delta.crl: what it published (`lists`)
    ocsp.key        the private key of its OCSP responder (`responder`)
    ssh/            its authority for SSH (`issuer.ssh`)

The folder itself is locked while the authority changes something.

Settings, in TOML; a key that is not here is refused:

    crl-url, delta-crl-url, certificate-url, ocsp-url
                    where what it publishes will be found: they stand in what it issues
    attestation     "if-present" or "required": what a request must bring (`possession`)
    whole-list-days, delta-list-hours
                    how long a list is good for; another must be published before
    key             the key's PKCS#11 URI (RFC 7512), where it is not in ca.key
"""

from __future__ import annotations

import fcntl
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tokenprov.errors import DurabilityError, StationError
from tokenprov.issuer.possession import Demand

_Url = Annotated[str, Field(pattern=r"^(http|ldap)://[!-~]+$", max_length=1000)]


class CaSettings(BaseModel):
    """What `ca.toml` says of an authority."""

    model_config = ConfigDict(
        defer_build=True,
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_name=True,
        validate_by_alias=True,
    )

    crl_url: _Url | None = None
    delta_crl_url: _Url | None = None
    certificate_url: _Url | None = None
    ocsp_url: _Url | None = None
    attestation: Demand = Demand.IF_PRESENT
    whole_list_days: Annotated[int, Field(strict=True, ge=1, le=365)] = 7
    delta_list_hours: Annotated[int, Field(strict=True, ge=1, le=24 * 365)] = 24
    backdate_minutes: Annotated[int, Field(strict=True, ge=0, le=24 * 60)] = 5
    key: Annotated[str, Field(pattern=r"^pkcs11:")] | None = None

    @property
    def backdated(self) -> timedelta:
        """How long before their making certificates begin: clocks elsewhere may be behind."""
        return timedelta(minutes=self.backdate_minutes)

    @property
    def whole_list_validity(self) -> timedelta:
        """How long a whole list is good for."""
        return timedelta(days=self.whole_list_days)

    @property
    def delta_list_validity(self) -> timedelta:
        """How long a delta list is good for; never longer than the whole one."""
        return min(timedelta(hours=self.delta_list_hours), self.whole_list_validity)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaFolder:
    """The paths of an authority's files."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """Settings."""
        return self.path / "ca.toml"

    @property
    def key(self) -> Path:
        """Private key."""
        return self.path / "ca.key"

    @property
    def certificate(self) -> Path:
        """Certificate."""
        return self.path / "ca.pem"

    @property
    def chain(self) -> Path:
        """The certificates above it."""
        return self.path / "chain.pem"

    @property
    def request(self) -> Path:
        """What another authority is to sign."""
        return self.path / "ca.csr"

    @property
    def requests(self) -> Path:
        """What it issued."""
        return self.path / "requests"

    @property
    def lists(self) -> Path:
        """What it published."""
        return self.path / "crl"

    @property
    def responder_key(self) -> Path:
        """Private key of its OCSP responder."""
        return self.path / "ocsp.key"

    def settings(self) -> CaSettings:
        """What the file says. Raises `StationError` naming the file and each key."""
        try:
            return self.parse_settings(self.settings_file.read_text("utf-8"))
        except FileNotFoundError:
            return CaSettings()
        except (OSError, UnicodeDecodeError) as exc:
            raise self._settings_refused(str(exc)) from exc

    def parse_settings(self, text: str) -> CaSettings:
        """What a text says that is to be the file. Raises `StationError` as for the file."""
        try:
            return CaSettings.model_validate(tomllib.loads(text))
        except ValidationError as exc:
            found = "; ".join(
                f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in exc.errors()
            )
            raise self._settings_refused(found) from exc
        except ValueError as exc:
            raise self._settings_refused(str(exc)) from exc

    def _settings_refused(self, why: str) -> StationError:
        return StationError(
            f"{self.settings_file} cannot be used: {why}", remedy="Mend the file and run it again."
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Wait for the others who change something here, in this process or another."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            raise DurabilityError(
                f"{self.path} cannot be written to: {exc.strerror}",
                remedy="Look at the disk and the rights of the folder, and run it again.",
            ) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
