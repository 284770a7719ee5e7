"""The authority that a profile names by its URI, with what the station knows of it.

    local                   the station's own (`ca`), in the home's folder ca/
    local:NAME              another of its own, in authorities/NAME/
    SCHEME:…                an authority reached over a protocol: SCHEMES names the module

A module of a scheme has `connect(uri, settings)` and gives an `Authority`; it is wrapped in
`Journalled`, so that it remembers nothing itself. What a station needs to be let in (a client
certificate, a password's file) stands in the home, in issuers/<any name>.toml, never in a profile:

    uri = "est+https://ca.example.test/.well-known/est"     # as in the profile
    …                                                       # what the scheme's module documents
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

from tokenprov.errors import IssuerError, StationError
from tokenprov.issuer.ca import LocalCa
from tokenprov.issuer.journalled import Authority, Journalled
from tokenprov.issuer.protocol import Issuer
from tokenprov.issuer.requests import RequestFolder
from tokenprov.model import Json

LOCAL = "local"
_CA_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_MAX_NAME = 200  # bytes of a folder name, below what every file system takes
SCHEMES: Mapping[str, str] = {  # scheme -> module of this package
    "est+https": "est",
    "cmp+http": "cmp",
    "cmp+https": "cmp",
    "acme+https": "acme",
    "file": "offline",
    "command": "command",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """What a station's file says of one authority; paths in it are from `folder`."""

    folder: Path
    table: Mapping[str, Json] = field(default_factory=dict)  # without `uri`
    file: Path | None = None  # None: the station has none for that URI


def choose_issuer(uri: str, home: Path) -> Issuer:
    """The authority of that URI, for the station whose home is `home`.

    Raises `IssuerError` for a URI that is none, `StationError` for settings that cannot be read.
    """
    scheme, _, name = uri.partition(":")
    if scheme == LOCAL:
        return LocalCa.open(local_folder(home, name), uri)
    module = SCHEMES.get(scheme)
    if module is None:
        known = ", ".join([LOCAL, f"{LOCAL}:NAME", *(f"{one}:…" for one in SCHEMES)])
        raise IssuerError(f"no authority is called {uri!r}", remedy=f"Write one of: {known}.")
    settings = read_settings(uri, home / "issuers")
    authority: Authority = import_module(f"tokenprov.issuer.{module}").connect(uri, settings)
    return Journalled(uri, authority, RequestFolder(home / "issuers" / "requests" / _name(uri)))


def local_folder(home: Path, name: str = "") -> Path:
    """Where the authority `local:NAME` is, or `local` without a name. Raises `IssuerError`."""
    if not name:
        return home / "ca"
    if not _CA_NAME.fullmatch(name):
        raise IssuerError(
            f"{name!r} names no authority of the station's own",
            remedy="Use small letters, digits and hyphens, as in local:issuing.",
        )
    return home / "authorities" / name


def _name(uri: str) -> str:
    """A folder's name: the URI, or its digest where that is too long for one."""
    name = quote(uri, safe="")
    return name if len(name) <= _MAX_NAME else hashlib.sha256(uri.encode()).hexdigest()


def read_settings(uri: str, folder: Path) -> IssuerSettings:
    """What a file in `folder` says of that URI. Raises `StationError` naming the file."""
    found = IssuerSettings(folder=folder)
    for file in sorted(folder.glob("*.toml")):
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise StationError(f"{file} cannot be read: {exc}", remedy="Mend the file.") from exc
        if not isinstance(table.get("uri"), str):
            raise StationError(
                f"{file} names no authority", remedy='Write uri = "…", as the profile has it.'
            )
        if table.pop("uri") != uri:
            continue
        if found.file is not None:
            raise StationError(
                f"{file} and {found.file} are both for {uri}", remedy="Keep one of them."
            )
        found = IssuerSettings(folder=folder, table=table, file=file)
    return found
