"""How a person names a custodian's public key on the command line: PURPOSE=FILE."""

from __future__ import annotations

from pathlib import Path

from tokenprov.errors import InputError
from tokenprov.model import Purpose
from tokenprov.record.escrow import CustodianKey, load_public


def parse_custodian(text: str, option: str) -> tuple[Purpose, CustodianKey]:
    """The purpose and the key in the file. Raises InputError naming the option, EscrowError."""
    purpose, _, file = text.partition("=")
    if purpose not in set(Purpose) or not file:
        raise InputError(
            f"{option} {text!r} is not PURPOSE=FILE",
            remedy=f"Purposes are {', '.join(Purpose)}, as in help-desk=help-desk.pem.",
        )
    return Purpose(purpose), load_public(Path(file))
