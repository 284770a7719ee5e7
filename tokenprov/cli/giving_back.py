"""`tokenprov return|retire`: a token is given back to stock, or taken out of use for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import click

from tokenprov.cli.custodians import custodian_key
from tokenprov.cli.lifecycle import (
    Place,
    bench_at,
    desk_reason,
    optional_opening,
    place_of,
    print_parts,
)
from tokenprov.cli.output import print_json
from tokenprov.errors import EscrowError
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import foreseen, giving_back, standing
from tokenprov.lifecycle.foreseen import Act
from tokenprov.lifecycle.giving_back import LOCKS, Means
from tokenprov.lifecycle.subject import Issued, find_token
from tokenprov.lifecycle.telling import open_in_force
from tokenprov.lifecycle.work import Order, Work
from tokenprov.model import Cause
from tokenprov.policy import Agreement
from tokenprov.record.history import EMPTIED, HELD
from tokenprov.secret import Secret
from tokenprov.unseen import is_left


@click.command("return")
@click.argument("serial")
@optional_opening
@desk_reason
@click.pass_obj
def return_(
    home_path: Path,
    serial: str,
    key_given: str | None,
    passphrase: bool,
    reason: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take a token back: its binding ends, it is emptied, and is in stock for the next holder."""
    home = Home.open(home_path)
    token = find_token(home, serial)
    if dry_run:
        _preview(home, token, foreseen.of_return(token), as_json)
        return
    place = _place(home, token)
    _require_key(token, key_given)
    order = Order(operator=operator, reason=reason, agreement=agreement)
    with home.working():
        catch_up(home)
        begun = giving_back.begin_return(home, find_token(home, serial), order)
    held = _locks(home, begun, key_given, passphrase)
    with home.working():
        _empty(home, begun, place, held, as_json)
        index = giving_back.finish_return(home, begun)
    _print(home, token, index, as_json)


@click.command()
@click.argument("serial")
@click.option(
    "--means",
    type=click.Choice([str(means) for means in Means]),
    default=str(Means.WIPED),
    show_default=True,
    help="Emptied in a reader, or destroyed.",
)
@click.option("--witness", required=True, help="Who sees it done; another person than you.")
@optional_opening
@desk_reason
@click.pass_obj
def retire(
    home_path: Path,
    serial: str,
    means: str,
    witness: str,
    key_given: str | None,
    passphrase: bool,
    reason: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take a token out of use for good, before a witness: emptied, or destroyed."""
    home = Home.open(home_path)
    token = find_token(home, serial)
    if dry_run:
        _preview(home, token, foreseen.of_retiring(token, Means(means), witness), as_json)
        return
    place = _place(home, token) if means == Means.WIPED else None
    if means == Means.WIPED:
        _require_key(token, key_given)
    order = Order(operator=operator, reason=reason, agreement=agreement)
    with home.working():
        catch_up(home)
        token = find_token(home, serial)
        begun = giving_back.begin_retiring(home, token, Means(means), witness, order)
    held = _locks(home, begun, key_given, passphrase)
    with home.working():
        _empty(home, begun, place, held, as_json)
        index = giving_back.finish_retiring(home, begun)
    _print(home, token, index, as_json)


def _place(home: Home, token: Issued) -> Place | None:
    """Where the token is that is to be emptied; None where that was done."""
    if token.state in EMPTIED:
        return None
    begun = home.ledger.wipes.open(token.label)
    sent = begun is not None and begun.sent is not None
    return place_of(home, token, left=partial(is_left, home, token.token) if sent else None)


def _preview(home: Home, token: Issued, acts: Iterable[Act], as_json: bool) -> None:
    """What ends with its binding, where that is in force, and what is done to the token."""
    parts = standing.ending_parts(home, token, Cause.RETURNED) if token.state in HELD else []
    print_parts(home, token, standing.planned(home, parts), as_json, beside=acts)


def _require_key(token: Issued, key_given: str | None) -> None:
    """Before anything ends. Raises `EscrowError` where it cannot be emptied without a key."""
    if key_given is None and token.state in HELD and giving_back.has_locks(token):
        raise _behind_locks(token, "nothing was done")


def _behind_locks(token: Issued, done: str) -> EscrowError:
    return EscrowError(
        f"token {token.label} is behind codes that token administration opens",
        remedy=f"Run the same command with --key KEY; {done}.",
    )


def _locks(
    home: Home, begun: Work, key_given: str | None, passphrase: bool
) -> Mapping[str, Secret]:
    """The codes without which the token cannot be emptied. Raises `EscrowError` without a key."""
    if not giving_back.wants_emptying(home, begun) or not giving_back.has_locks(begun.token):
        return {}
    if key_given is None:
        raise _behind_locks(begun.token, "what comes before it was done")
    with custodian_key(key_given, passphrase) as key:
        return open_in_force(home, begun, LOCKS, key)


def _empty(
    home: Home, begun: Work, place: Place | None, held: Mapping[str, Secret], as_json: bool
) -> None:
    if place is not None and giving_back.wants_emptying(home, begun):
        with bench_at(place, as_json) as bench:
            giving_back.empty(home, begun, bench, held)


def _print(home: Home, token: Issued, index: int, as_json: bool) -> None:
    now = find_token(home, token.label)
    if as_json:
        print_json(
            {
                "serial": token.label,
                "holder": token.holder.name,
                "state": str(now.state),
                "entry": index,
            }
        )
        return
    click.echo(f"token {token.label}, which was {token.holder.name}'s: {now.state}, entry {index}")
