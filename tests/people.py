"""People with keys of their own, who request and approve by the program's commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.stations import Said, Station


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A name with the files of its key pair."""

    name: str
    private: Path
    public: Path

    @property
    def signs(self) -> tuple[str | Path, ...]:
        """The options with which they sign."""
        return ("--as", self.name, "--key", self.private)


def somebody(folder: Path, name: str, *, p256: bool = False) -> Somebody:
    """Draw a key pair for a name."""
    key = ec.generate_private_key(ec.SECP256R1()) if p256 else ed25519.Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.key", folder / f"{name}.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    private.chmod(0o600)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return Somebody(name=name, private=private, public=public)


def added(station: Station, name: str, *roles: str, p256: bool = False) -> Somebody:
    """Somebody new who has these roles at a station."""
    one = somebody(station.home.parent, name, p256=p256)
    options = [f"--role={role}" for role in roles]
    said = station.tell(
        *("people", "add", name, "--key", one.public, *options, "--reason", "new here")
    )
    assert said.code == 0, said.err
    return one


def requested(
    station: Station, by: Somebody, action: str, *about: str, hours: float = 8, name: str = "asked"
) -> Path:
    """A request by somebody, in a file."""
    file = station.home.with_name(f"{name}.request")
    said = station.tell(
        *("approve", "request", action, *about, "--reason", "ticket 4711", "--out", file),
        *("--hours", str(hours), *by.signs),
    )
    assert said.code == 0, said.err
    return file


def agreed(station: Station, file: Path, by: Somebody) -> Said:
    """Somebody signs a request of another."""
    return station.tell("approve", "sign", file, "--yes", *by.signs)


def approved(
    station: Station, by: Somebody, agrees: Somebody, action: str, *about: str, name: str = "asked"
) -> Path:
    """A request that somebody else agreed to."""
    file = requested(station, by, action, *about, name=name)
    said = agreed(station, file, agrees)
    assert said.code == 0, said.err
    return file
