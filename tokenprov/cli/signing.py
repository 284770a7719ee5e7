"""What commands ask of a person who signs: their name, their key, and what others signed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from tokenprov.cli.custodians import ask_unseen
from tokenprov.policy import Agreement, Evidence
from tokenprov.policy.people_rules import Proof
from tokenprov.record.note import NoteSigner
from tokenprov.record.person_key import KeyInFile

_F = TypeVar("_F", bound=Callable[..., object])


def agreed(command: _F) -> _F:
    """The options of whatever others may have to agree to; the command gets an `agreement`.

    It goes around those of `--operator`, whose key `--operator-key` is.
    """

    @wraps(command)
    def with_agreement(
        *arguments: Any,
        approvals: tuple[Path, ...],
        proofs: tuple[Path, ...],
        operator_key: str | None,
        **options: Any,
    ) -> Any:
        name = options["operator"]
        agreement = Agreement(
            approvals=[file.read_bytes() for file in approvals],
            proofs=[Evidence(type=Proof.IDENTITY_CHECK, data=one.read_bytes()) for one in proofs],
            signer=signing_key(name, operator_key, False) if operator_key else None,
        )
        return command(*arguments, agreement=agreement, **options)

    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option(
            "--operator-key", metavar="KEY", help="The key of --operator, to sign what is done."
        ),
        click.option(
            "--proof",
            "proofs",
            multiple=True,
            type=file,
            help="That a witness saw who the holder is (tokenprov approve request identify).",
        ),
        click.option(
            "--approval",
            "approvals",
            multiple=True,
            type=file,
            help="A request that others signed (tokenprov approve); may be given several times.",
        ),
    ):
        with_agreement = option(with_agreement)
    return cast(_F, with_agreement)


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
