"""Which authority the commands of `tokenprov ca` mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tokenprov.home import Home
from tokenprov.issuer import LocalCa
from tokenprov.issuer.choose import local_folder


def authority(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which authority is meant, where it is not the one that `init` made."""
    return click.option(
        "--authority",
        "name",
        default="",
        metavar="NAME",
        help="The one that `ca init NAME` made; left out: the station's first.",
    )(command)


def opened(home_path: Path, name: str) -> LocalCa:
    """The authority of that name. Raises `StationError`, `IssuerError`."""
    home = Home.open(home_path)
    return LocalCa.open(local_folder(home.path, name), f"local:{name}" if name else "local")
