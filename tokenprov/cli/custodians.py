"""What commands ask of a person about custodians' keys, and options that they share."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import click

from tokenprov.cli.signing import find_reader
from tokenprov.custodians import opened_key
from tokenprov.errors import InputError
from tokenprov.model import Purpose
from tokenprov.record.escrow import CustodianKey, PrivateKey, load_public
from tokenprov.secret import Secret
from tokenprov.signing import ask_unseen

_F = TypeVar("_F", bound=Callable[..., object])


def parse_custodian(text: str, option: str) -> tuple[Purpose, CustodianKey]:
    """The purpose and the key in the file. Raises InputError naming the option, EscrowError."""
    purpose, _, file = text.partition("=")
    if purpose not in set(Purpose) or not file:
        raise InputError(
            f"{option} {text!r} is not PURPOSE=FILE",
            remedy=f"Purposes are {', '.join(Purpose)}, as in help-desk=help-desk.pem.",
        )
    return Purpose(purpose), load_public(Path(file))


def new_passphrase(prompt: str) -> Secret:
    """A passphrase that was typed twice alike. Raises InputError."""
    given = ask_unseen(prompt)
    if given != ask_unseen("Again: "):
        raise InputError("the two are not the same", remedy="Run it again.")
    return _not_empty(given)


def passphrase_of(file: Path) -> Secret:
    """The first line of a file. Raises InputError where it is empty."""
    return _not_empty(Secret((file.read_bytes().splitlines() or [b""])[0]))


def _not_empty(given: Secret) -> Secret:
    if not len(given):
        raise InputError("the passphrase is empty", remedy="Give one of several words.")
    return given


def recorded(command: _F) -> _F:
    """The options of whatever is an entry of the manifest."""
    command = click.option(
        "--operator", default=getpass.getuser, help="Who you are.  [default: your login]"
    )(command)
    return click.option("--reason", required=True, help="Why; it is recorded in the manifest.")(
        command
    )


def custodian_key(given: str, has_passphrase: bool) -> AbstractContextManager[PrivateKey]:
    """The private key that a person named with --key; open while it is used."""
    return opened_key(given, ask_unseen, find_reader, has_passphrase=has_passphrase)
