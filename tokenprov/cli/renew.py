"""`tokenprov renew`: which certificates end soon, and new ones for those of a token."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from tokenprov.cli.custodians import custodian_key
from tokenprov.cli.lifecycle import (
    bench_at,
    desk,
    optional_opening,
    place_of,
    planned_json,
    print_written,
    told_json,
)
from tokenprov.cli.output import print_json, print_table
from tokenprov.errors import EscrowError, InputError
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import renewal
from tokenprov.lifecycle.renewal import Expiring
from tokenprov.lifecycle.subject import the_one
from tokenprov.lifecycle.telling import open_in_force, preview
from tokenprov.lifecycle.work import Order
from tokenprov.policy import Agreement
from tokenprov.record.history import State
from tokenprov.secret import Secret
from tokenprov.signing import ask_unseen

_DAYS = 60


@click.command()
@click.argument("subject", metavar="[SERIAL|HOLDER]", required=False)
@click.option(
    "--within",
    type=click.IntRange(0),
    default=_DAYS,
    show_default=True,
    help="Days in which a certificate ends.",
)
@click.option("--pin", "asks_pin", is_flag=True, help="Ask for the holder's PIN.")
@click.option("--reason", default="it ends soon", show_default=True, help="Why; it is recorded.")
@optional_opening
@desk
@click.pass_obj
def renew(
    home_path: Path,
    subject: str | None,
    within: int,
    asks_pin: bool,
    reason: str,
    key_given: str | None,
    passphrase: bool,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Without a token, list the certificates that end soon; with one, renew those on it.

    The keys stay. Token administration's key opens the management key; the holder's PIN is asked
    for with --pin, where the issuer wants a request that the key signs; on a token behind a PKCS#11
    module that is always so, and no other key is needed.
    """
    home = Home.open(home_path)
    span = timedelta(days=within)
    if subject is None:
        _print(renewal.expiring(home, span), as_json)
        return
    token = the_one(home, subject, State.HELD)
    due = renewal.due(home, token, span)
    place = place_of(home, token)
    if dry_run:
        with bench_at(place, as_json) as bench:
            document = planned_json(
                token, preview(home, token, bench, (), renewal.make(home, token, due, 0))
            )
    else:
        if key_given is None and renewal.needs_key(token):
            raise EscrowError(
                f"the management key of token {token.label} is needed",
                remedy="Give token administration's key: --key KEY.",
            )
        if renewal.needs_pin(token) and not asks_pin:
            raise InputError(
                f"the certificates of token {token.label} are renewed with its holder's PIN",
                remedy="Have its holder there, and write --pin.",
            )
        order = Order(operator=operator, reason=reason, agreement=agreement)
        with home.working():
            catch_up(home)
            begun = renewal.begin(home, the_one(home, subject, State.HELD), span, order)
        held: dict[str, Secret] = {}
        if key_given is not None and renewal.needs_key(token):
            with custodian_key(key_given, passphrase) as key:
                held = open_in_force(home, begun, renewal.NEEDS, key)
        if asks_pin:
            name = renewal.USER_PIN if renewal.needs_pin(token) else renewal.PIN
            held[name] = ask_unseen(f"PIN of token {token.label}: ")
        with home.working(), bench_at(place, as_json) as bench:
            document = told_json(home, token, renewal.renew(home, begun, bench, held))
    if as_json:
        print_json(document)
    else:
        print_written(document)


def _print(found: list[Expiring], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "serial": one.token.label,
                    "holder": one.token.holder.name,
                    "step": one.step,
                    "ends": one.ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
                for one in found
            ]
        )
        return
    print_table(
        ("ends", "serial", "holder", "certificate"),
        [
            (f"{one.ends:%Y-%m-%d}", one.token.label, one.token.holder.name, one.step)
            for one in found
        ],
    )
