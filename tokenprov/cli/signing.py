"""What commands ask of a person who signs: their name, their key, and what others signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from tokenprov.policy import Agreement
from tokenprov.policy.proofs import proof_in
from tokenprov.record.note import NoteSigner
from tokenprov.record.signer import Signer
from tokenprov.signing import ask_unseen, opened_key

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
        with ExitStack() as open_keys:
            signer = None
            if operator_key is not None:
                signer = open_keys.enter_context(signing_as(options["operator"], operator_key))
            agreement = Agreement(
                approvals=[file.read_bytes() for file in approvals],
                proofs=[proof_in(file.read_bytes()) for file in proofs],
                signer=signer,
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
            help="What the holder is known by: what a witness signed (tokenprov approve request"
            " identify), or another token of theirs, or a recovery code (holder prove).",
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


def key_elsewhere(command: _F) -> _F:
    """The option of who may keep a key elsewhere than in a folder of their own."""
    return click.option(
        "--key",
        "given",
        metavar="KEY",
        help="A key that is there: a file (PKCS#8 PEM), pkcs11:… (RFC 7512), or piv:SERIAL, slot 9c"
        " of a PIV token.  [default: one made in a file there]",
    )(command)


def find_reader(serial: str) -> str:
    """The reader of a token. Raises TokenError."""
    from tokenprov.cli.readers import choose_reader  # and with it all that asks tokens

    return choose_reader(None, serial)


def signs(command: _F) -> _F:
    """The options of whatever a person signs."""
    for option in (
        click.option(
            "--key",
            "key_given",
            required=True,
            metavar="KEY",
            help="Your private key: a file (PKCS#8 PEM, mode 0600), a PKCS#11 URI, or piv:SERIAL"
            " (slot 9c).",
        ),
        click.option("--as", "name", required=True, help="Your name, as the station has it."),
    ):
        command = option(command)
    return command


@contextmanager
def signing_as(name: str, given: str) -> Iterator[NoteSigner]:
    """The key that a person named, under their name, while it is used. Raises InputError."""
    with opened_key(given, ask_unseen, find_reader) as key:
        yield Signer(name, key)
