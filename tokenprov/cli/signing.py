"""What commands ask of a person who signs: their name, their key, and what others signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from tokenprov.cli.custodians import ask_unseen
from tokenprov.record.note import NoteSigner
from tokenprov.record.person_key import KeyInFile

_F = TypeVar("_F", bound=Callable[..., object])

approved = click.option(
    "--approval",
    "approvals",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A request that others signed (tokenprov approve); may be given several times.",
)


def signs(command: _F) -> _F:
    """The options of whatever a person signs."""
    for option in (
        click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase."),
        click.option(
            "--key",
            "key_given",
            required=True,
            metavar="KEY",
            help="Your private key: a file (PKCS#8 PEM).",
        ),
        click.option("--as", "name", required=True, help="Your name, as the station has it."),
    ):
        command = option(command)
    return command


def signing_key(name: str, given: str, has_passphrase: bool) -> NoteSigner:
    """The key that a person named. Raises InputError."""
    return KeyInFile.load(name, Path(given), ask_unseen("Passphrase: ") if has_passphrase else None)


def notes_in(files: tuple[Path, ...]) -> list[bytes]:
    """What stands in the files of `--approval`."""
    return [file.read_bytes() for file in files]
