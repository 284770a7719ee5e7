"""The top group, the station home that commands share, and how errors reach a person."""

from __future__ import annotations

import errno
import os
import sys
from keyword import iskeyword
from pathlib import Path

import click

from tokenprov import __version__
from tokenprov.cli.commands import Commands
from tokenprov.errors import InputError, StationError, TokenprovError

INTERRUPTED = 130  # exit code: 128 and SIGINT, as a shell says it
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

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
    "overview",
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


def _place(name: str) -> str:
    """Where a command is: in the module of its name or that it shares, under its name."""
    return f"{_TOGETHER.get(name, name)}:{name}{'_' if iskeyword(name) else ''}"


@click.group(
    cls=Commands,
    elsewhere={name: _place(name) for name in COMMANDS},  # as a person needs them
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
        _run()
    except TokenprovError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.NoSuchOption as error:
        _usage(error).show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        if isinstance(error.__cause__ or error.__context__, EOFError):
            click.echo(
                "Error: an answer is asked for, and standard input has ended\n"
                "  Run it on a terminal, where a person can answer.",
                err=True,
            )
            sys.exit(InputError.exit_code)
        click.echo("Interrupted. Run the same command again: it goes on where it was.", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # who reads it has enough, as `head` has; click says it so, too
        _drop_output()
        sys.exit(1)
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:  # of a file that was named
            raise
        _drop_output()
        click.echo(
            f"Error: what is shown cannot be written: {error.strerror}\n"
            "  Free space there, and look again: tokenprov manifest show, tokenprov batch status.",
            err=True,
        )
        sys.exit(StationError.exit_code)


def _run() -> None:
    """The command, until what it shows is written."""
    try:
        cli(standalone_mode=False)
    finally:
        if sys.stdout is not None:  # it is where the caller closed it
            sys.stdout.flush()


def _drop_output() -> None:
    """What is left of it goes nowhere when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(error: click.NoSuchOption) -> click.UsageError:
    """What is wrong with an option; --home is one, and stands elsewhere."""
    if error.option_name != "--home" or error.ctx is None:
        return error
    _, _, command = error.ctx.command_path.partition(" ")
    return click.UsageError(
        f"--home stands before the command: tokenprov --home FOLDER {command}", ctx=error.ctx
    )
