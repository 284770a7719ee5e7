"""`tokenprov backup|restore`: a station home in one sealed file, and a home made of it again."""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.backup import Copy
from tokenprov.backup import backup as back_up
from tokenprov.backup import restore as restore_from
from tokenprov.cli.custodians import custodian_key
from tokenprov.cli.lifecycle import opening
from tokenprov.cli.output import as_json, print_json
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.model import Purpose
from tokenprov.record.escrow import load_public

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("out", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "recipient",
    type=_file,
    help="The public key (PEM) that it is sealed to.  [default: break-glass's]",
)
@as_json
@click.pass_obj
def backup(home_path: Path, out: Path, recipient: Path | None, as_json: bool) -> None:
    """Write the station home to FILE, as it is now, sealed to a custodian's key.

    Whoever opens it can act as this station. Private keys of custodians are left out.
    """
    if out.exists():
        raise InputError(f"{out} is there already", remedy="Name a file that is not there yet.")
    home = Home.open(home_path)
    key = load_public(recipient) if recipient else home.custodians[Purpose.BREAK_GLASS]
    copy = back_up(home, out, key)
    _print(copy, as_json, f"{copy.station} is in {out}, sealed to key {key.kid}")


@click.command()
@click.argument("file", type=_file)
@click.argument("into", metavar="HOME", type=click.Path(path_type=Path))
@opening
@click.option(
    "--checkpoint",
    type=_file,
    help="The last checkpoint that is known: the file of an auditor's pin or of a copy.",
)
@click.option(
    "--nothing-later",
    is_flag=True,
    help="Nothing was recorded after the backup: the old home is lost, and was not used.",
)
@as_json
def restore(
    file: Path,
    into: Path,
    key_given: str,
    passphrase: bool,
    checkpoint: Path | None,
    nothing_later: bool,
    as_json: bool,
) -> None:
    """Make the station HOME of a backup; it goes on where that one was.

    A log that goes on from an old backup would fork: say what was recorded last.
    """
    if nothing_later is (checkpoint is not None):
        raise InputError(
            "say what was recorded last",
            remedy="Give --checkpoint FILE, the last one that is known, or write --nothing-later.",
        )
    last = checkpoint.read_bytes() if checkpoint is not None else None
    with custodian_key(key_given, passphrase) as key, file.open("rb") as source:
        copy = restore_from(source, into, key, last=last)
    _print(
        copy, as_json, f"{copy.station} is in {into}, as it was on {copy.made:%Y-%m-%d %H:%M} UTC"
    )


def _print(copy: Copy, as_json: bool, text: str) -> None:
    if as_json:
        print_json(
            {
                "station": copy.station,
                "made": copy.made.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "entries": copy.size,
                "root": copy.root,
                "files": copy.files,
            }
        )
        return
    click.echo(f"{text}: {copy.files} files, {copy.size} entries")
