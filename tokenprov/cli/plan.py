"""`tokenprov plan`: what would be written to the token that is plugged in, and what is on it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tokenprov.cli.output import as_json, facts_line, print_json, print_table
from tokenprov.cli.token import Nobody, choose_reader, reader_options
from tokenprov.device.token import opened
from tokenprov.errors import TokenConflict
from tokenprov.home import Home
from tokenprov.model import Order
from tokenprov.plan import Plan, check_token, plan_token, steps_on
from tokenprov.profile import check_roster, load_profile
from tokenprov.roster import load_roster

_SIGNS = {"write": "+", "leave": "=", "skip": "-", "refuse": "!"}


@click.command()
@click.argument("roster", type=click.Path(path_type=Path))
@click.option("--profile", "profile_name", required=True, help="A file, or a ready profile's name.")
@reader_options
@as_json
@click.pass_obj
def plan(
    home_path: Path,
    roster: Path,
    profile_name: str,
    reader: str | None,
    serial: str | None,
    as_json: bool,
) -> None:
    """The dry run: what the profile would write to the token that is here. Changes nothing."""
    home = Home.open(home_path)
    holders = load_roster(roster, today=home.clock().date())
    profile = load_profile(profile_name)
    check_roster(profile, holders)
    holder = holders.holders[0]
    order = Order(
        id="plan-0001",
        batch="plan",
        holder=holder,
        position=0,
        profile=profile.name,
        profile_digest=profile.digest,
    )
    with opened(choose_reader(reader, serial), Nobody()) as token:
        left_out = check_token(profile, token)
        if token.id.serial is not None:
            _refuse_known(home, token.id.serial)
        steps = steps_on(token, profile, order, home, day=home.clock().date())
        made = plan_token(token, steps)
    if as_json:
        print_json(
            {
                "token": {
                    "serial": token.id.serial,
                    "model": token.id.model,
                    "firmware": token.id.firmware,
                },
                "profile": {"name": profile.name, "digest": profile.digest},
                "refused": made.refused,
                "used": list(made.inventory.used),
                "inventory": made.inventory.facts,
                "steps": [planned.to_json() for planned in made.steps],
                "leftOut": left_out,
            }
        )
    else:
        click.echo(f"{token.id.model}, serial {token.id.label}, firmware {token.id.firmware}")
        _print(made, left_out)
    if made.refused:
        sys.exit(TokenConflict.exit_code)


def _refuse_known(home: Home, serial: str) -> None:
    found = home.ledger.order_of_token(None, serial)
    if found is not None:
        raise TokenConflict(
            f"token {serial} is bound to order {found.id} ({found.state}) of"
            f" {found.order.holder.name}",
            remedy=f"See: tokenprov batch status {found.order.batch}",
        )


def _print(made: Plan, left_out: list[str]) -> None:
    if made.inventory.used:
        click.echo(f"refused, the token is in use: {'; '.join(made.inventory.used)}")
        return
    print_table(
        ("", "setting", "now", "why"),
        [
            (
                _SIGNS[planned.verdict],
                planned.step.title,
                facts_line(dict(planned.finding.facts)) or "factory state",
                planned.finding.reason,
            )
            for planned in made.steps
        ],
    )
    for text in left_out:
        click.echo(f"left out: {text}")
    writes = sum(planned.verdict == "write" for planned in made.steps)
    click.echo(f"{writes} settings would be written; nothing was changed.")
