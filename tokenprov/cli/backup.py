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
from tokenprov.later import Later, bring_in
from tokenprov.model import Purpose
from tokenprov.profile import load_profile
from tokenprov.record.escrow import load_public
from tokenprov.record.files import refuse_there

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
    refuse_there(out)
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
@click.option(
    "--manifest",
    "later",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A copy of the old home's manifest: what was recorded after the backup comes in.",
)
@click.option(
    "--profile",
    "profile_names",
    multiple=True,
    help="With --manifest: a profile that tokens were issued by since; may be given several times.",
)
@as_json
def restore(
    file: Path,
    into: Path,
    key_given: str,
    passphrase: bool,
    checkpoint: Path | None,
    nothing_later: bool,
    later: Path | None,
    profile_names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make the station HOME of a backup; it goes on where that one was.

    A log that goes on from an old backup would fork: say what was recorded last, or bring a copy of
    the manifest, with which the home goes on behind its last entry.
    """
    if (checkpoint, later) == (None, None) and not nothing_later:
        raise InputError(
            "say what was recorded last",
            remedy="Give --manifest FOLDER, a copy of the old manifest; or --checkpoint FILE, the"
            " last one that is known; or write --nothing-later.",
        )
    if nothing_later and (checkpoint is not None or later is not None):
        raise InputError(
            "something was recorded later, and nothing was",
            remedy="Leave --nothing-later out.",
        )
    last = checkpoint.read_bytes() if checkpoint is not None else None
    profiles = [load_profile(name) for name in profile_names]
    came: list[Later] = []

    def bring(made: Path) -> None:
        if later is not None:
            came.append(bring_in(made, later, profiles))

    with custodian_key(key_given, passphrase) as key, file.open("rb") as source:
        copy = restore_from(source, into, key, last=last, bring_in=bring)
    _print(
        copy,
        as_json,
        f"{copy.station} is in {into}, as it was on {copy.made:%Y-%m-%d %H:%M} UTC",
        came[0] if came else None,
    )


def _print(copy: Copy, as_json: bool, text: str, later: Later | None = None) -> None:
    if as_json:
        print_json(
            {
                "station": copy.station,
                "made": copy.made.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "entries": copy.size,
                "root": copy.root,
                "files": copy.files,
                "later": later.entries if later is not None else 0,
                "lost": list(later.lost) if later is not None else [],
            }
        )
        return
    click.echo(f"{text}: {copy.files} files, {copy.size} entries")
    if later is not None:
        click.echo(f"{later.entries} entries came in from the copy of its manifest")
        for one in later.lost:
            click.echo(f"  not given back: {one}")
