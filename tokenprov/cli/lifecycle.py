"""What the commands after a token's issue share: options, and how their parts are shown."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from tokenprov.cli.output import as_json, facts_line, print_json, print_table
from tokenprov.cli.signing import agreed
from tokenprov.home import Home
from tokenprov.lifecycle.standing import Planned
from tokenprov.lifecycle.subject import Issued, find_token
from tokenprov.model import Cause, Json

_F = TypeVar("_F", bound=Callable[..., object])


def desk(command: _F) -> _F:
    """The options of whatever is done after a token's issue, but the reason."""
    for option in (
        as_json,
        click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing."),
        agreed,
        click.option(
            "--operator", default=getpass.getuser, help="Who you are.  [default: your login]"
        ),
    ):
        command = option(command)
    return command


def desk_reason(command: _F) -> _F:
    """The same, with a reason in words."""
    option = click.option("--reason", required=True, help="Why; it is recorded in the manifest.")
    return option(desk(command))


def cause_options(causes: Sequence[Cause]) -> Callable[[_F], _F]:
    """The options of whatever ends a token."""

    def decorate(command: _F) -> _F:
        command = desk(command)
        for option in (
            click.option("--note", default="", help="More of it, in words; it is recorded."),
            click.option(
                "--reason",
                "cause",
                required=True,
                type=click.Choice([str(cause) for cause in causes]),
                help="Why; the profile says what each does.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def reason_with(cause: str, note: str) -> str:
    """The reason as it stands in the entry."""
    return f"{cause}: {note.strip()}" if note.strip() else cause


def print_parts(home: Home, token: Issued, what: Sequence[Planned] | int, in_json: bool) -> None:
    """What would be done about a token, or what was, by the entry of that index."""
    if isinstance(what, int):
        entry = home.manifest.entry(what)
        now = find_token(home, token.label)
        parts: list[dict[str, Json]] = entry.get("credentials", [])
        rows = [(part["id"], part["outcome"], facts_line(part["facts"])) for part in parts]
        document = {
            "serial": token.label,
            "holder": token.holder.name,
            "state": str(now.state),
            "entry": what,
            "credentials": parts,
        }
        columns = ("", "outcome", "read back")
    else:
        document = {
            "serial": token.label,
            "holder": token.holder.name,
            "state": str(token.state),
            "entry": None,
            "steps": [one.to_json() for one in what],
        }
        rows = [
            (one.part.title, str(one.verdict), facts_line(one.to_json()["facts"])) for one in what
        ]
        columns = ("", "would be", "now")
    if in_json:
        print_json(document)
        return
    click.echo(f"token {token.label} of {token.holder.name}: {document['state']}")
    print_table(columns, rows)
