"""`tokenprov witness`: cosign what only grew, refuse a fork."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from tokenprov.home import now
from tokenprov.record.files import StationLock
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.record.witness import Witness

_folder = click.Path(file_okay=False, path_type=Path)


@click.group()
def witness() -> None:
    """A second pair of eyes on somebody else's manifest."""


@witness.command()
@click.argument("state", type=_folder)
@click.option("--name", required=True, help="The witness' name, as in witness.example.com/1.")
def init(state: Path, name: str) -> None:
    """Make a witness with a key of its own in STATE, and print its verifier key."""
    click.echo(str(Witness.create(state, name).verifier))


@witness.command()
@click.argument("state", type=_folder)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--key", help="The log's verifier key; needed the first time.")
def cosign(state: Path, folder: Path, key: str | None) -> None:
    """Cosign the checkpoint in the manifest's FOLDER, if the log only grew since the last time.

    The line is added to the checkpoint there; in a station's own folder not while the station
    writes (exit code 3). Exit code 6: a rollback or a fork; nothing is signed.
    """
    text = Path(key).read_text().strip() if key and Path(key).is_file() else key
    given = VerifierKey.parse(text) if text else None
    home = folder.resolve().parent
    writing = StationLock(home) if (home / "station.toml").exists() else nullcontext()
    with writing:
        head = Witness(state).cosign(folder, given, now())
    click.echo(f"{head.origin}: {head.size} entries cosigned")
