"""`tokenprov root`: the offline root that signs the list of a manifest's keys."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from tokenprov.cli.known_keys import verifier_key
from tokenprov.cli.signing import find_reader, key_elsewhere
from tokenprov.record.key_list import KEY_LIST
from tokenprov.record.key_root import KeyRoot
from tokenprov.record.lock import StationLock
from tokenprov.record.signer import Signer
from tokenprov.signing.own import make_own, own_key, own_verifier

_ROLE = "root"
_folder = click.Path(file_okay=False, path_type=Path)


@click.group()
def root() -> None:
    """The root of keys, kept offline: who trusts it needs no key of the manifest."""


@root.command()
@click.argument("state", type=_folder)
@click.option("--name", required=True, help="The root's name, as in keys.example.com.")
@key_elsewhere
def init(state: Path, name: str, given: str | None) -> None:
    """Make a root in STATE, with a key of its own, and print its verifier key."""
    click.echo(str(make_own(state, _ROLE, name, given, find_reader=find_reader)))


@root.command()
@click.argument("state", type=_folder)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--key",
    "named",
    multiple=True,
    help="A key of the log (name+id+base64, or a file), as the station told you: its first one, and"
    " each that no other vouches for.",
)
def sign(state: Path, folder: Path, named: tuple[str, ...]) -> None:
    """Sign the list of keys that signed the manifest in FOLDER, and lay it there.

    Exit code 6: the manifest does not hold, or its keys are others than on the last list.
    """
    home = folder.resolve().parent
    writing = StationLock(home) if (home / "station.toml").exists() else nullcontext()
    with own_key(state, _ROLE, find_reader=find_reader) as key, writing:
        signer = Signer(own_verifier(state, _ROLE).name, key)
        made = KeyRoot(state, signer).sign(folder, list(map(verifier_key, named)))
    click.echo(f"{folder / KEY_LIST}: list {made.number} of {made.origin}, {len(made.keys)} keys")
