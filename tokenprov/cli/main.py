"""The top group, the station home that commands share, and how errors reach a person."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

import click

from tokenprov import __version__
from tokenprov.errors import TokenprovError

INTERRUPTED = 130  # exit code: 128 and SIGINT, as a shell says it

COMMANDS = (
    "init",
    "doctor",
    "profile",
    "stock",
    "plan",
    "batch",
    "token",
    "manifest",
    "holder",
    "trace",
    "replace",
    "suspend",
    "resume",
    "revoke",
    "unblock",
    "rotate",
    "renew",
    "return",
    "retire",
    "people",
    "approve",
    "policy",
    "waiver",
    "witness",
    "root",
    "escrow",
    "backup",
    "restore",
    "drill",
    "trust",
    "ca",
    "issuer",
    "demo",
    "sim",
)


_TOGETHER = {  # commands that share a module
    "suspend": "standing",
    "resume": "standing",
    "revoke": "standing",
    "restore": "backup",
    "return": "giving_back",
    "retire": "giving_back",
}


class Commands(click.Group):
    """Loads the module of a command, which has its name, when that command is called.

    All of them together take a second to import, and the virtual tokens that `demo` and `sim`
    bring along are not for a station that programs real ones.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order in which a person needs them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name not in COMMANDS:
            return None
        gc.disable()  # modules are no garbage, and looking through them takes a fifth of the start
        try:
            module = import_module(f"tokenprov.cli.{_TOGETHER.get(name, name)}")
            gc.freeze()  # nor are they later, above all at the end
        finally:
            gc.enable()
        found: click.Command = getattr(module, f"{name}_" if iskeyword(name) else name)
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
