"""`tokenprov witness`: cosign what only grew, refuse a fork."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from tokenprov.cli.signing import find_reader, key_elsewhere, verifier_key
from tokenprov.home import now
from tokenprov.record.files import StationLock, turn
from tokenprov.record.manifest import lock_path
from tokenprov.record.signer import Cosigner
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
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--key",
    help="The log's verifier key; needed the first time, and for one that none before vouches for.",
)
def cosign(state: Path, folder: Path, key: str | None) -> None:
    """Cosign the checkpoint in the manifest's FOLDER, if the log only grew since the last time.

    The line is added to the checkpoint there; in a station's own folder not while the station
    writes (exit code 3). Exit code 6: a rollback or a fork; nothing is signed.
    """
    home = folder.resolve().parent
    with ExitStack() as held:
        own = held.enter_context(own_key(state, _ROLE, find_reader=find_reader))
        if (home / "station.toml").exists():
            held.enter_context(StationLock(home))
            held.enter_context(turn(lock_path(folder.resolve())))
        cosigner = Cosigner(own_verifier(state, _ROLE).name, own, now)
        head = Witness(state, cosigner).cosign(folder, verifier_key(key) if key else None)
    click.echo(f"{head.origin}: {head.size} entries cosigned")
