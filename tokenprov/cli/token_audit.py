"""`tokenprov token show|audit`: what is on a token, and whether it is what it should be."""

from __future__ import annotations

import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import click

from tokenprov.audit import Audit, Standing, audit
from tokenprov.cli.output import as_json, facts_line, print_json, print_table
from tokenprov.cli.readers import Nobody, choose_reader, known_here, module_option, seen
from tokenprov.device.sources import source_of
from tokenprov.errors import InputError, TokenError
from tokenprov.home import Home
from tokenprov.inventory import take_inventory
from tokenprov.model import Json
from tokenprov.unnumbered import recognise


@click.command()
@click.argument("serial")
@module_option
@as_json
@click.pass_obj
def show(home_path: Path, serial: str, module: str | None, as_json: bool) -> None:
    """What is on the token with that serial now, and what the station has recorded of it."""
    with (
        closing(source_of(module)) as source,
        source.opened(choose_reader(None, serial, source, known_here(home_path)), Nobody()) as here,
    ):
        inventory = take_inventory(here)
    recorded = _recorded(home_path, serial)
    if as_json:
        print_json(
            {
                "serial": serial,
                "model": here.id.model,
                "firmware": here.id.firmware,
                "reader": here.reader,
                "used": list(inventory.used),
                "inventory": inventory.facts,
                "recorded": recorded,
            }
        )
        return
    click.echo(f"{here.id.described}, in {here.reader}")
    rows = [
        (applet, name, facts_line(value))
        for applet, facts in inventory.facts.items()
        for name, value in facts.items()
    ]
    print_table(("applet", "", "now"), rows)
    if recorded:
        click.echo(
            f"recorded: order {recorded['order']} of {recorded['holder']}, {recorded['state']}"
        )
    else:
        click.echo("recorded: nothing")


@click.command("audit")
@click.argument("serial", required=False)
@click.option("--all", "every", is_flag=True, help="The tokens in all readers.")
@module_option
@as_json
@click.pass_obj
def audit_tokens(
    home_path: Path, serial: str | None, every: bool, module: str | None, as_json: bool
) -> None:
    """Compare a token with the manifest and its profile; nothing is written to it.

    One that has no serial is named by its mark, which it proves first.

    Exit code 4: a token is not what the manifest says.
    """
    if every is (serial is not None):
        raise InputError(
            "say which token is meant", remedy="Name one by its serial, or write --all."
        )
    home = Home.open(home_path)
    know = partial(recognise, home)
    made, troubles = [], []
    with closing(source_of(module)) as source:
        found = [name for name, _, _ in seen(source)] if every else None
        for reader in [choose_reader(None, serial, source, know)] if found is None else found:
            try:
                with source.opened(reader, Nobody()) as here:
                    know(here)
                    made.append(audit(home, here))
            except TokenError as error:
                if not every:
                    raise
                troubles.append({"reader": reader, "trouble": error.message})
    if as_json:
        print_json({"tokens": [one.to_json() for one in made], "troubles": troubles})
    else:
        for one in made:
            _print_audit(one)
        for trouble in troubles:
            click.echo(f"{trouble['reader']}: {trouble['trouble']}")
    if troubles or any(one.drifted for one in made):
        sys.exit(TokenError.exit_code)


_SIGNS = {Standing.SAME: "=", Standing.DRIFT: "!", Standing.UNKNOWN: "?"}


def _print_audit(made: Audit) -> None:
    token_id = made.token
    click.echo(token_id.described)
    if made.index is None:
        click.echo("The manifest does not have this token: there is nothing to compare it with.")
    elif made.holder:
        click.echo(f"entry {made.index}: issued to {made.holder}, profile {made.profile}")
    else:
        click.echo(f"entry {made.index}: {made.kind}")
    if made.settings:
        print_table(
            ("", "setting", "", "recorded", "now"),
            [
                (
                    _SIGNS[one.standing],
                    one.id,
                    one.reason,
                    facts_line(one.recorded) if one.standing is Standing.DRIFT else "",
                    facts_line(one.now) if one.now is not None else "",
                )
                for one in made.settings
            ],
        )
    for text in made.added:
        click.echo(f"! not in the manifest: {text}")
    for text in made.defaults:
        click.echo(f"default left in place: {text}")
    for text in made.unknown:
        click.echo(f"unknown: {text}")
    click.echo("drift\n" if made.drifted else "no drift\n")


def _recorded(home_path: Path, serial: str) -> Json:
    if not (home_path / "station.toml").exists():
        return None
    found = Home.open(home_path).ledger.order_of_token(None, serial)
    if found is None:
        return None
    return {
        "order": found.id,
        "holder": found.order.holder.name,
        "state": str(found.state),
        "entry": found.entry_index,
    }
