"""What commands ask of a person about keys: a custodian's public key, and a new passphrase."""

from __future__ import annotations

import getpass
from pathlib import Path

from tokenprov.errors import InputError
from tokenprov.model import Purpose
from tokenprov.record.escrow import CustodianKey, load_public
from tokenprov.secret import Secret


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
    given = Secret(getpass.getpass(prompt))
    if given != Secret(getpass.getpass("Again: ")):
        raise InputError("the two are not the same", remedy="Run it again.")
    return _not_empty(given)


def passphrase_of(file: Path) -> Secret:
    """The first line of a file. Raises InputError where it is empty."""
    return _not_empty(Secret((file.read_bytes().splitlines() or [b""])[0]))


def _not_empty(given: Secret) -> Secret:
    if not len(given):
        raise InputError("the passphrase is empty", remedy="Give one of several words.")
    return given
