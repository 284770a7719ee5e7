"""`tokenprov doctor`: what may be wrong with this station, and the command that mends each."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json
from tokenprov.doctor import State, examine, install
from tokenprov.errors import StationError

_SIGNS = {State.GOOD: "=", State.DOUBTFUL: "?", State.BAD: "!"}


@click.command()
@click.option("--install-udev", is_flag=True, help="Install the rules for nodes, as root.")
@as_json
@click.pass_obj
def doctor(home_path: Path, install_udev: bool, as_json: bool) -> None:
    """Look at pcscd, nodes, clock, disk and signing keys; say what mends what is wrong.

    Exit code 3: something must be mended before tokens can be programmed.
    """
    if install_udev:
        for path in install():
            click.echo(f"installed {path}", err=True)
    findings = list(examine(home_path))
    if as_json:
        print_json({"findings": [one.to_json() for one in findings]})
    else:
        for one in findings:
            click.echo(f"{_SIGNS[one.state]} {one.about}: {one.text}")
            if one.mend:
                click.echo(f"    {one.mend}")
    if any(one.state is State.BAD for one in findings):
        sys.exit(StationError.exit_code)
