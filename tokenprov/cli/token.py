"""`tokenprov token list|show|audit`: what is plugged in, what is on it, and what should be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from tokenprov.audit import Audit, Standing, audit
from tokenprov.cli.output import as_json, facts_line, print_json, print_table
from tokenprov.device.pcsc import Context
from tokenprov.device.token import opened
from tokenprov.errors import InputError, TokenError, TokenGone
from tokenprov.home import Home
from tokenprov.inventory import take_inventory
from tokenprov.model import Json, TokenId


class Nobody:
    """Implements `step.Operator` for commands that only look: nothing waits for a touch."""

    def touch(self, reader: str, label: str, reason: str) -> nullcontext[None]:
        """Nothing to do."""
        return nullcontext()

    def reinsert(self, reader: str, label: str, reason: str, seconds: float) -> nullcontext[None]:
        """Nothing to do."""
        return nullcontext()


@click.group()
def token() -> None:
    """Tokens that are plugged in."""


def reader_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which token is meant, where more than one is plugged in."""
    command = click.option("--reader", help="The token in this reader.")(command)
    return click.option("--serial", help="The token with this serial.")(command)


def choose_reader(reader: str | None, serial: str | None) -> str:
    """The one reader that is meant. Raises `InputError` where it is none or more than one."""
    found = [(name, token_id) for name, token_id, _ in seen()]
    if reader is not None:
        found = [one for one in found if reader.lower() in one[0].lower()]
    if serial is not None:
        found = [one for one in found if one[1] is not None and one[1].serial == serial]
    if not found:
        raise TokenGone("no such token is plugged in", remedy="See: tokenprov token list")
    if len(found) > 1:
        labels = ", ".join(one[1].label if one[1] else one[0] for one in found)
        raise InputError(
            f"{len(found)} tokens are plugged in: {labels}", remedy="Choose one with --serial."
        )
    return found[0][0]


def seen() -> list[tuple[str, TokenId | None, str]]:
    """Reader, token and trouble of each reader with a token in it."""
    with Context() as context:
        names = [state.name for state in context.states() if state.present]
    found: list[tuple[str, TokenId | None, str]] = []
    for name in names:
        try:
            with opened(name, Nobody()) as here:
                found.append((name, here.id, ""))
        except TokenError as error:
            found.append((name, None, error.message))
    return found


@token.command("list")
@as_json
def list_tokens(as_json: bool) -> None:
    """Readers with a token, and what it says it is."""
    found = seen()
    if as_json:
        print_json(
            [
                {
                    "reader": name,
                    "serial": here.serial if here else None,
                    "model": here.model if here else None,
                    "firmware": here.firmware if here else None,
                    "trouble": trouble,
                }
                for name, here, trouble in found
            ]
        )
        return
    print_table(
        ("reader", "serial", "model", "firmware", ""),
        [
            (
                name,
                here.label if here else "",
                here.model if here else "",
                here.firmware if here else "",
                trouble,
            )
            for name, here, trouble in found
        ],
    )


@token.command()
@click.argument("serial")
@as_json
@click.pass_obj
def show(home_path: Path, serial: str, as_json: bool) -> None:
    """What is on the token with that serial now, and what the station has recorded of it."""
    with opened(choose_reader(None, serial), Nobody()) as here:
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
    click.echo(f"{here.id.model}, serial {serial}, firmware {here.id.firmware}, in {here.reader}")
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


@token.command("audit")
@click.argument("serial", required=False)
@click.option("--all", "every", is_flag=True, help="The tokens in all readers.")
@as_json
@click.pass_obj
def audit_tokens(home_path: Path, serial: str | None, every: bool, as_json: bool) -> None:
    """Compare a token with the manifest and its profile; nothing is written to it.

    Exit code 4: a token is not what the manifest says.
    """
    if every is (serial is not None):
        raise InputError(
            "say which token is meant", remedy="Name one by its serial, or write --all."
        )
    home = Home.open(home_path)
    readers = [name for name, _, _ in seen()] if every else [choose_reader(None, serial)]
    made, troubles = [], []
    for reader in readers:
        try:
            with opened(reader, Nobody()) as here:
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
    click.echo(f"{token_id.model}, serial {token_id.label}, firmware {token_id.firmware}")
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
