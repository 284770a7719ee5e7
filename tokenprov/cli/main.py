"""The top group, the station home that commands share, and how errors reach a person."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tokenprov import __version__
from tokenprov.cli.batch import batch
from tokenprov.cli.demo import demo
from tokenprov.cli.escrow import escrow
from tokenprov.cli.init import init
from tokenprov.cli.manifest import manifest
from tokenprov.cli.plan import plan
from tokenprov.cli.sim import sim
from tokenprov.cli.token import token
from tokenprov.errors import TokenprovError

INTERRUPTED = 130  # exit code: 128 and SIGINT, as a shell says it


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    envvar="TOKENPROV_HOME",
    default=Path("station"),
    show_default=True,
    show_envvar=True,
    help="The station home.",
)
@click.pass_context
def cli(context: click.Context, home: Path) -> None:
    """Program security keys and smart cards from a roster and a profile, and record it."""
    context.obj = home


for command in (init, plan, batch, token, manifest, escrow, demo):
    cli.add_command(command)
cli.add_command(sim, "sim")


def main() -> None:
    """The program: an error of ours is a message, its remedy and its exit code, no trace."""
    try:
        cli(standalone_mode=False)
    except TokenprovError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Run the same command again: it goes on where it was.", err=True)
        sys.exit(INTERRUPTED)
