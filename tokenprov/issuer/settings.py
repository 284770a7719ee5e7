"""What a station's file says of an authority (issuers/<any name>.toml), read strictly.

Rules: a key that no scheme knows is refused; paths are from the file's own folder; a password is
never in the file, but in one of its own that nobody else can read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from tokenprov.errors import StationError
from tokenprov.issuer.choose import IssuerSettings
from tokenprov.secret import Secret

S = TypeVar("S", bound="Settings")
_LONGEST = 86400.0  # seconds; a line does not stand still for longer
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def _from_folder(value: Path, info: ValidationInfo) -> Path:
    assert isinstance(info.context, Path)  # `read` gives it
    return info.context / value


def _address_or_file(value: str, info: ValidationInfo) -> str:
    return value if "://" in value or not value else str(_from_folder(Path(value), info))


def _dashed(name: str) -> str:
    return name.replace("_", "-")


File = Annotated[Path, AfterValidator(_from_folder)]
AddressOrFile = Annotated[str, AfterValidator(_address_or_file)]


class Settings(BaseModel):
    """What any authority may be told of; each scheme adds its own."""

    model_config = ConfigDict(
        defer_build=True, extra="forbid", frozen=True, alias_generator=_dashed
    )

    ocsp: str = ""  # http(s)://… of its OCSP responder, which is asked before the list is
    crl: AddressOrFile = ""  # where its list of revoked certificates lies: a file, or http(s)://…
    timeout: Annotated[float, Field(gt=0, le=_LONGEST)] = 30.0  # seconds for one answer
    # seconds that a request is waited for which is not decided at once
    wait: Annotated[float, Field(ge=0, le=_LONGEST)] = 30.0

    @property
    def publishes(self) -> bool:
        """Whether it is known where the authority tells what it revoked."""
        return bool(self.ocsp or self.crl)


def read(kind: type[S], given: IssuerSettings) -> S:
    """The settings of that kind. Raises `StationError` naming file and key."""
    where = given.file or given.folder
    try:
        return kind.model_validate(dict(given.table), context=given.folder)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise StationError(
            f"{where}: {key}: {first['msg'].lower()}" if key else f"{where}: {first['msg']}",
            remedy=f"Mend it; there is: {', '.join(sorted(map(_dashed, kind.model_fields)))}.",
        ) from None  # what pydantic says would repeat what is in the file


def read_secret(path: Path) -> Secret:
    """The secret that is a file's one line. Raises `StationError` where others may read it."""
    try:
        if os.name == "posix" and path.stat().st_mode & _OTHERS:
            raise StationError(
                f"{path} can be read by others",
                remedy=f"Run: chmod 600 {path}, and change what is in it.",
            )
        return Secret(path.read_bytes().strip(b"\r\n"))
    except OSError as exc:
        raise StationError(
            f"{path} cannot be read: {exc.strerror}", remedy="Write the password into it, mode 600."
        ) from exc
