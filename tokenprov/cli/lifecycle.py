"""What the commands after a token's issue share: options, and how their parts are shown."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import click

from tokenprov.cli.output import as_json, facts_line, print_json, print_table
from tokenprov.cli.readers import as_it_says, choose_reader
from tokenprov.cli.signing import agreed
from tokenprov.device.sources import SMART_CARDS, Source
from tokenprov.device.token import AnyToken
from tokenprov.errors import TokenGone
from tokenprov.home import Home
from tokenprov.lifecycle.foreseen import Act
from tokenprov.lifecycle.standing import Planned, issued_by
from tokenprov.lifecycle.subject import Issued, find_token
from tokenprov.lifecycle.telling import Bench
from tokenprov.model import Cause, Json
from tokenprov.plan import Planned as StepPlanned
from tokenprov.prompts import StationOperator
from tokenprov.source import source_for
from tokenprov.station.screens import json_screen, line_screen
from tokenprov.unnumbered import recognise

_F = TypeVar("_F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A reader, and what it is one of."""

    reader: str
    source: Source = SMART_CARDS


def place_of(home: Home, token: Issued, *, left: Callable[[AnyToken], bool] | None = None) -> Place:
    """Where a token is that is to be told something again; a module is left when the command ends.

    One without a serial is known by the mark that it proves. Where that may be gone, and none does,
    `left` says whether a token is what is left of it (`unseen`).

    Raises `TokenGone` where it is in no reader, `InputError` for a module that is not there.
    """
    source = source_for(issued_by(home, token))
    click.get_current_context().call_on_close(source.close)
    know = partial(recognise, home, name=token.token.mark) if token.token.mark else as_it_says
    try:
        return Place(reader=choose_reader(None, token.label, source, know), source=source)
    except TokenGone:
        if left is None:
            raise

    def name_left(there: AnyToken) -> None:
        if left(there):
            there.id = replace(there.id, mark=token.token.mark)

    return Place(reader=choose_reader(None, token.label, source, name_left), source=source)


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


def _opening(required: bool) -> Callable[[_F], _F]:
    def decorate(command: _F) -> _F:
        for option in (
            click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase."),
            click.option(
                "--key",
                "key_given",
                required=required,
                metavar="KEY",
                help="The custodian's private key: a file (PKCS#8 PEM), a PKCS#11 URI,"
                " piv:SERIAL, or words: for shares.",
            ),
        ):
            command = option(command)
        return command

    return decorate


opening = _opening(True)  # the options of whatever opens what a token holds
optional_opening = _opening(False)  # and of what may have to


@contextmanager
def bench_at(place: Place, in_json: bool) -> Iterator[Bench]:
    """The token in a reader, with a person before it who is told what to do."""
    screen = json_screen if in_json else line_screen
    with screen(sys.stderr) as listener:
        yield Bench(
            reader=place.reader,
            source=place.source,
            operator=StationOperator(listener),
            listener=listener,
        )


def planned_json(token: Issued, steps: Sequence[StepPlanned]) -> dict[str, Json]:
    """What would be written to a token."""
    return {
        "serial": token.label,
        "holder": token.holder.name,
        "entry": None,
        "steps": [one.to_json() for one in steps],
    }


def told_json(home: Home, token: Issued, index: int) -> dict[str, Json]:
    """What was written to a token, as its entry has it."""
    entry = home.manifest.entry(index)
    return {
        "serial": token.label,
        "holder": token.holder.name,
        "entry": index,
        "steps": [
            {"step": one["id"], "facts": one["facts"], "unread": one.get("unread", [])}
            for one in entry["steps"]
        ],
        "secrets": entry["secrets"],
    }


def print_written(document: dict[str, Json]) -> None:
    """One of the two above, for people."""
    planned = document["entry"] is None
    by = "" if planned else f": done, entry {document['entry']}"
    click.echo(f"token {document['serial']} of {document['holder']}{by}")
    if planned:
        print_table(
            ("", "would be", ""),
            [(one["title"], one["verdict"], one.get("reason", "")) for one in document["steps"]],
        )
        return
    print_table(
        ("read back", "", "cannot be read back"),
        [
            (one["step"], facts_line(one["facts"]), ", ".join(one["unread"]))
            for one in document["steps"]
        ],
    )
    for purpose in sorted({one["purpose"] for one in document["secrets"]}):
        names = [one["name"] for one in document["secrets"] if one["purpose"] == purpose]
        click.echo(f"sealed to {purpose}: {', '.join(names)}")


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


def print_parts(
    home: Home,
    token: Issued,
    what: Sequence[Planned] | int,
    in_json: bool,
    *,
    beside: Iterable[Act] = (),
) -> None:
    """What would be done about a token, or what was, by the entry of that index.

    `beside` is what else would be.
    """
    acts = list(beside)
    if isinstance(what, int):
        entry = home.manifest.entry(what)
        now = find_token(home, token.label)
        parts: list[dict[str, Json]] = entry.get("credentials", [])
        rows: list[tuple[str, ...]] = [
            (part["id"], part["outcome"], facts_line(part["facts"])) for part in parts
        ]
        document = {
            "serial": token.label,
            "holder": token.holder.name,
            "state": str(now.state),
            "entry": what,
            "credentials": parts,
        }
        columns: tuple[str, ...] = ("", "outcome", "read back")
    else:
        document = {
            "serial": token.label,
            "holder": token.holder.name,
            "state": str(token.state),
            "entry": None,
            "steps": [one.to_json() for one in what],
            "acts": [one.to_json() for one in acts],
        }
        rows = [
            (one.part.title, str(one.verdict), _at(one), facts_line(one.to_json()["facts"]))
            for one in what
        ]
        columns = ("", "would be", "at", "now")
    if in_json:
        print_json(document)
        return
    click.echo(f"token {token.label} of {token.holder.name}: {document['state']}")
    print_table(columns, rows)
    for one in acts:
        click.echo(one.title)


def _at(one: Planned) -> str:
    """Where it is accepted, and the reason that is told there."""
    reason = one.part.reason
    return one.part.credential.where + (f" ({reason.value})" if reason is not None else "")
