"""`tokenprov manifest rotate-key`, `keys`: which key signs the manifest."""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.cli import entries
from tokenprov.cli.custodians import recorded
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.signing import agreed
from tokenprov.home import Home
from tokenprov.policy import Agreement
from tokenprov.record.commit import key_in_use
from tokenprov.record.entry import encode_entry
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.key_change import eras
from tokenprov.record.manifest import Manifest
from tokenprov.rekey import begin_epoch, rotate


@click.command("rotate-key")
@click.option(
    "--to",
    metavar="URI",
    help="The new key, in a PKCS#11 token (RFC 7512).  [default: one made in a file]",
)
@click.option(
    "--lost",
    is_flag=True,
    help="The key in use is gone, or is not to be trusted: nobody vouches for the new one, and an"
    " epoch begins.",
)
@agreed
@recorded
@click.pass_obj
def rotate_key(
    home_path: Path,
    to: str | None,
    lost: bool,
    reason: str,
    operator: str,
    agreement: Agreement,
) -> None:
    """Have another key sign the manifest from now on, vouched for by the one in use."""
    home = Home.open(home_path)
    change = begin_epoch if lost else rotate
    new = change(home, operator=operator, reason=reason, to=to, agreement=agreement)
    click.echo(str(new))
    if lost:
        click.echo(
            "Nobody vouches for this key: tell it to whoever checks the manifest, and have the root"
            " sign the list again (tokenprov root sign).",
            err=True,
        )
    else:
        click.echo("Whoever holds an earlier key goes on with that one.", err=True)


@click.command()
@click.option(
    "--changes",
    is_flag=True,
    help="The entries themselves, a line each: what a witness elsewhere goes on to a new key by.",
)
@as_json
@click.pass_obj
def keys(home: Path, changes: bool, as_json: bool) -> None:
    """The keys that signed the manifest, the first one first, as its entries say."""
    folder = entries.folder(home, None)
    log = Manifest.open(folder)
    if changes:
        for _, entry in log.key_changes():
            click.echo(encode_entry(entry).decode())
        return
    found = eras(log.key_changes(), key_in_use(ManifestFolder(folder)))
    if as_json:
        print_json(
            [{"key": str(era.key), "since": era.since, "vouched": era.vouched} for era in found]
        )
        return
    print_table(
        ("from entries", "key", "how it came"),
        [
            (
                str(era.since),
                str(era.key),
                "vouched for" if era.vouched else "an epoch" if era.since else "the first",
            )
            for era in found
        ],
    )
