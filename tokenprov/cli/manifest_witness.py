"""`tokenprov manifest submit`, `add-cosignatures`: what witnesses elsewhere are shown, and give."""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.cli import entries
from tokenprov.cli.known_keys import verifier_key
from tokenprov.errors import InputError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.commit import key_in_use
from tokenprov.record.cosigned import add_cosignatures as add
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.key_change import era_of, eras
from tokenprov.record.lock import turn
from tokenprov.record.manifest import Manifest, lock_path
from tokenprov.record.note import parse_note
from tokenprov.record.submission import Submission


@click.command()
@click.option(
    "--old",
    default=0,
    show_default=True,
    help="How many entries the witness cosigned last; 0 where they never did.",
)
@click.pass_obj
def submit(home: Path, old: int) -> None:
    """Print what a witness is shown: the checkpoint, and that the log only grew since OLD entries.

    It is the body of a request to add-checkpoint, as https://c2sp.org/tlog-witness has it.
    """
    if old < 0:
        raise InputError("a log has no negative size", remedy="Give what the witness said, or 0.")
    shown = Submission.of(ManifestFolder(entries.folder(home, None)), old)
    click.echo(shown.to_bytes().decode(), nl=False)


@click.command("add-cosignatures")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    required=True,
    help="A witness' verifier key, or a file.",
)
@click.option(
    "--to",
    "submitted",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The submission that was answered, where FILE has lines and no checkpoint.",
)
@click.pass_obj
def add_cosignatures(
    home: Path, file: Path, witnesses: tuple[str, ...], submitted: Path | None
) -> None:
    """Keep the lines of witnesses in FILE: at the head, or beside it where the log has grown."""
    note = file.read_bytes()
    if submitted is not None:
        note = Submission.parse(submitted.read_bytes()).note + note
    folder = entries.folder(home, None)
    size = Checkpoint.parse(parse_note(note).text).size
    keys = [verifier_key(witness) for witness in witnesses]
    with turn(lock_path(folder.resolve())):
        changes = Manifest.open(folder).key_changes()
        log_key = era_of(eras(changes, key_in_use(ManifestFolder(folder))), size).key
        head = add(folder, note, log_key, keys)
    click.echo(f"{head.origin}: cosigned with {head.size} entries")
