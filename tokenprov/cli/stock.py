"""`tokenprov stock import|list|never`: which tokens the station may take."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.model import Json
from tokenprov.receiving import receive
from tokenprov.stock import expand, load_serials

_operator = click.option(
    "--operator", default=getpass.getuser, help="Who you are.  [default: your login]"
)


@click.group()
def stock() -> None:
    """The tokens that arrived, and those never to be touched."""


@stock.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@_operator
@as_json
@click.pass_obj
def import_(home_path: Path, file: Path, operator: str, as_json: bool) -> None:
    """Take the serials of FILE into stock: one a line, ranges, or a CSV with a column `serial`.

    Each that is new is an entry of the manifest. From then on `batch run` takes no token that is
    not in stock.
    """
    home = Home.open(home_path)
    serials = load_serials(file)
    with home.working():
        catch_up(home)
        fresh = receive(home, serials, source=file.name, operator=operator)
    _tell(as_json, "in stock", len(serials), fresh)


@stock.command()
@click.argument("what", metavar="FILE|SERIAL")
@click.option("--reason", required=True, help="Why; it is told with every refusal.")
@_operator
@as_json
@click.pass_obj
def never(home_path: Path, what: str, reason: str, operator: str, as_json: bool) -> None:
    """Never touch these tokens, whatever is asked: a serial or a mark, a range, or a file."""
    if not reason.strip():
        raise InputError(
            "no token is forbidden without a reason",
            remedy="Give --reason, as in --reason 'the director's own'.",
        )
    home = Home.open(home_path)
    if Path(what).is_file():
        serials = load_serials(Path(what))
    else:
        serials = (what,) if home.marks().find(what) is not None else expand(what)
    with home.working():
        fresh = home.ledger.stock.forbid(serials, reason.strip(), operator, home.clock())
    _tell(as_json, "never to be touched", len(serials), fresh)


def _tell(as_json: bool, where: str, total: int, fresh: int) -> None:
    if as_json:
        print_json({"serials": total, "new": fresh})
        return
    click.echo(f"{total} serials are {where}, {fresh} of them new")


@stock.command("list")
@as_json
@click.pass_obj
def list_(home_path: Path, as_json: bool) -> None:
    """Every serial that is in stock or never to be touched, and what became of it."""
    home = Home.open(home_path)
    lines = _lines(home)
    if as_json:
        print_json(lines)
        return
    print_table(
        ("serial", "list", "state", "since", "operator", ""),
        [
            (one["serial"], one["list"], one["state"] or "", one["since"])
            + (one["operator"], one["note"])
            for one in lines
        ],
    )


def _lines(home: Home) -> list[dict[str, Json]]:
    book = home.ledger.stock
    states = home.ledger.token_states()
    return [
        {
            "serial": one.serial,
            "list": name,
            "state": states.get(one.serial),
            "since": f"{one.at:%Y-%m-%dT%H:%M:%SZ}",
            "operator": one.operator,
            "note": one.note,
        }
        for name, listed in (("stock", book.received()), ("never", book.forbidden()))
        for one in listed
    ]
