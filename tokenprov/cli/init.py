"""`tokenprov init`: make a station home."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import click

from tokenprov.cli.custodians import new_passphrase, parse_custodian
from tokenprov.home import create_home, now
from tokenprov.model import Purpose
from tokenprov.policy.change import of_policy
from tokenprov.policy.load import load_policy

_OPENS = {
    Purpose.HELP_DESK: "PUKs and initial PINs",
    Purpose.TOKEN_ADMINISTRATION: "management keys, access codes, lock codes",
    Purpose.AUTHENTICATION_SERVER: "OTP seeds",
    Purpose.BREAK_GLASS: "everything",
}
_FIRST_DAY = "from the first day on"


def _station_name() -> str:
    name = socket.gethostname().lower()
    return "".join(c if c.isascii() and (c.isalnum() or c in ".-") else "-" for c in name)[:60]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", default=_station_name, help="The station's name.  [default: the host's]")
@click.option(
    "--custodian",
    "custodians",
    multiple=True,
    metavar="PURPOSE=FILE",
    help=f"A custodian's public key (PEM, P-256). Purposes: {', '.join(Purpose)}.",
)
@click.option(
    "--trust",
    "trust",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A further root or intermediate of attestation (PEM), beside the makers'.",
)
@click.option(
    "--signing-key",
    metavar="URI",
    help="The key that signs the manifest, in a PKCS#11 token (RFC 7512): Ed25519 or on P-256. Its"
    " PIN is asked for, or in the URI's pin-source.  [default: one made in a file]",
)
@click.option(
    "--policy",
    "policy_name",
    metavar="NAME|FILE",
    help="The rules that hold from the first day on: a ready policy's name, or a file.",
)
@click.option(
    "--passphrase", is_flag=True, help="Ask for one that encrypts the private keys made here."
)
@click.option("--operator", default=getpass.getuser, help="Who you are.  [default: your login]")
def init(
    folder: Path,
    name: str,
    custodians: tuple[str, ...],
    trust: tuple[Path, ...],
    signing_key: str | None,
    policy_name: str | None,
    passphrase: bool,
    operator: str,
) -> None:
    """Make a station home in FOLDER: signing key, custodians' keys, local test CA, empty log."""
    keys = dict(parse_custodian(text, "--custodian") for text in custodians)
    rules = [load_policy(policy_name)] if policy_name is not None else []
    drawn = create_home(
        folder,
        name=name,
        operator=operator,
        custodians=keys,
        trust=trust,
        signing_key=signing_key,
        first=[
            of_policy(one, station=name, operator=operator, reason=_FIRST_DAY, at=now())
            for one in rules
        ],
        passphrase=new_passphrase("Passphrase for custodians' keys: ") if passphrase else None,
    )
    click.echo(f"{folder} is the home of station {name}.", err=True)
    for one in rules:
        click.echo(f"Policy {one.name} holds there, digest {one.digest}.", err=True)
    if drawn:
        click.secho(
            "\nThe private keys of these custodians were made here, which is for trying out only:",
            err=True,
            bold=True,
        )
        for purpose in drawn:
            path = folder / "custodians" / "private" / f"{purpose}.pem"
            click.echo(f"  {path}   opens {_OPENS[purpose]}", err=True)
        click.secho(
            f"Whoever has this folder {'and the passphrase ' if passphrase else ''}can open every"
            " secret while they are in it. Give each to its"
            " custodian and delete it here,\nor let the custodians make their own:"
            " tokenprov escrow new-key PRIVATE.pem --public PUBLIC.pem",
            err=True,
            bold=True,
        )
        click.echo("and hand in the public keys: --custodian help-desk=FILE …", err=True)
