"""`tokenprov token name`: blank PIV cards get a CHUID, by which they are known from then on."""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.readers import Nobody, choose_reader, seen
from tokenprov.device.token import opened
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.naming import name_card


@click.command("name")
@click.option("--reader", help="The card in this reader.")
@click.option("--all", "every", is_flag=True, help="The cards in all readers that have no name.")
@click.option("--key", metavar="NAME", help="The management key that they came with.")
@as_json
@click.pass_obj
def name_cards(
    home_path: Path, reader: str | None, every: bool, key: str | None, as_json: bool
) -> None:
    """Give blank PIV cards a name each: a CHUID with a GUID, which is then their serial."""
    if every is (reader is not None):
        raise InputError("say which card is meant", remedy="Name its --reader, or write --all.")
    home = Home.open(home_path)
    readers = (
        [choose_reader(reader, None)]
        if not every
        else [name for name, there, _ in seen() if there is not None and there.serial is None]
    )
    named = []
    with home.working():
        for where in readers:
            with opened(where, Nobody()) as here:
                named.append({"reader": where, "serial": name_card(home, here, key)})
    if as_json:
        print_json(named)
    else:
        print_table(("reader", "serial"), [(one["reader"], one["serial"]) for one in named])
