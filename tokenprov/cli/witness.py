"""`tokenprov witness`: cosign what only grew, refuse a fork."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from tokenprov.cli.known_keys import verifier_key
from tokenprov.cli.signing import find_reader, key_elsewhere
from tokenprov.errors import InputError
from tokenprov.home import now
from tokenprov.record.cosigned import add_cosignatures
from tokenprov.record.entry import decode_entry
from tokenprov.record.key_change import changes_in
from tokenprov.record.lock import turn
from tokenprov.record.manifest import lock_path
from tokenprov.record.signer import Cosigner
from tokenprov.record.submission import Submission
from tokenprov.record.witness import Witness
from tokenprov.signing.own import make_own, own_key, own_verifier

_ROLE = "witness"
_folder = click.Path(file_okay=False, path_type=Path)


@click.group()
def witness() -> None:
    """A second pair of eyes on somebody else's manifest."""


@witness.command()
@click.argument("state", type=_folder)
@click.option("--name", required=True, help="The witness' name, as in witness.example.com/1.")
@key_elsewhere
def init(state: Path, name: str, given: str | None) -> None:
    """Make a witness in STATE, with a key of its own, and print its verifier key.

    A supervisor cosigns with the key in slot 9c of their token: --key piv:SERIAL.
    """
    made = make_own(state, _ROLE, name, given, cosigns=True, find_reader=find_reader)
    click.echo(str(made))


@witness.command()
@click.argument("state", type=_folder)
@click.argument("what", metavar="FOLDER|FILE", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--key",
    help="The log's verifier key; needed the first time, and for one that none before vouches for.",
)
@click.option(
    "--changes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Beside a submission, how the log's key changed: tokenprov manifest keys --changes.",
)
def cosign(state: Path, what: Path, key: str | None, changes: Path | None) -> None:
    """Cosign the checkpoint of a log, if it only grew since the last time.

    Of the manifest in a FOLDER, where the line is added; or of a submission in a FILE (tokenprov
    manifest submit): the checkpoint with the line is printed, for manifest add-cosignatures. Exit
    code 6: a rollback or a fork; nothing is signed.
    """
    if changes is not None and what.is_dir():
        raise InputError(
            "goes beside a submission; a manifest's folder has them itself",
            where="--changes",
            remedy=f"Leave it out, as {what} is a folder.",
        )
    log_key = verifier_key(key) if key else None
    lines = [] if changes is None else changes.read_bytes().splitlines()
    shown = list(changes_in(lines, decode_entry))
    with own_key(state, _ROLE, find_reader=find_reader) as own:
        eyes = Witness(state, Cosigner(own_verifier(state, _ROLE).name, own, now))
        if not what.is_dir():
            made = eyes.answer(Submission.parse(what.read_bytes()), log_key, shown)
            click.echo(made.note.decode(), nl=False)
            return
        made = eyes.cosign(what, log_key)
    home = what.resolve().parent
    # Signed and asked for its PIN: the log may grow meanwhile, and the line finds its place.
    with turn(lock_path(what.resolve())) if (home / "station.toml").exists() else nullcontext():
        add_cosignatures(what, made.note, made.log_key, [made.witness_key])
    click.echo(f"{made.head.origin}: {made.head.size} entries cosigned")
