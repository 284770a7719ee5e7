"""`tokenprov rotate`: secrets of a token, or of all that come by, are made anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from tokenprov.cli.custodians import custodian_key
from tokenprov.cli.lifecycle import (
    bench_at,
    desk_reason,
    opening,
    planned_json,
    print_written,
    reader_of,
    told_json,
)
from tokenprov.cli.output import print_json
from tokenprov.cli.readers import come_by
from tokenprov.custody import AnyKey
from tokenprov.device.token import opened
from tokenprov.errors import InputError, StationError, TokenprovError
from tokenprov.events import TokenPassedOver
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import rotation
from tokenprov.lifecycle.rotation import What
from tokenprov.lifecycle.subject import Issued, find_token, the_one
from tokenprov.lifecycle.telling import Bench, in_force, open_in_force, preview
from tokenprov.lifecycle.work import Order
from tokenprov.model import Json
from tokenprov.policy import Agreement
from tokenprov.record.history import State


@click.command()
@click.argument("subject", metavar="[SERIAL|HOLDER]", required=False)
@click.option("--all", "every", is_flag=True, help="The tokens in all readers.")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    help="With --all: go on with tokens that are put in, until none came for so many seconds.",
)
@click.option(
    "--what",
    "given",
    multiple=True,
    type=click.Choice([str(one) for one in What]),
    help="What is made anew; can be given again.  [default: all that the key opens, but the OATH"
    " password]",
)
@opening
@desk_reason
@click.pass_obj
def rotate(
    home_path: Path,
    subject: str | None,
    every: bool,
    wait: float,
    given: tuple[str, ...],
    key_given: str,
    passphrase: bool,
    reason: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a token's PUK, management keys, admin PIN, access codes and lock code anew.

    The custodian's key opens what is in force; what takes its place is sealed before it is written.
    """
    if every is (subject is not None):
        raise InputError(
            "say which token is meant", remedy="Name one by its serial, or write --all."
        )
    home = Home.open(home_path)
    what = [What(one) for one in given] or list(rotation.UNASKED)
    order = Order(operator=operator, reason=reason, agreement=agreement)
    readers: Iterable[str] = (
        come_by(wait) if subject is None else [reader_of(the_one(home, subject, State.HELD))]
    )
    made = []
    with custodian_key(key_given, passphrase) as key:
        for reader in readers:
            with bench_at(reader, as_json) as bench:
                try:
                    made.append(_rotate(home, bench, what, key, order, dry_run=dry_run))
                except StationError:
                    raise
                except TokenprovError as error:
                    if not every:
                        raise
                    _pass_over(bench, error)
    if as_json:
        print_json(made)
        return
    for document in made:
        print_written(document)


def _rotate(
    home: Home, bench: Bench, what: Sequence[What], key: AnyKey, order: Order, *, dry_run: bool
) -> dict[str, Json]:
    """The token in one reader, whichever it is."""
    token = _here(home, bench)
    if dry_run:
        kinds = {one.kind for one in what}
        names = [one.name for one in in_force(home, token, kinds, key)]
        return planned_json(token, preview(token, bench, names, rotation.make(home, token)))
    with home.working():
        catch_up(home)
        begun = rotation.begin(home, find_token(home, token.label), what, order)
    kinds = {one.kind for one in rotation.wanted(begun)}
    held = open_in_force(home, begun, kinds, key)
    with home.working():
        index = rotation.rotate(home, begun, bench, held)
    return told_json(home, token, index)


def _here(home: Home, bench: Bench) -> Issued:
    with opened(bench.reader, bench.operator) as there:
        return find_token(home, there.id.label)


def _pass_over(bench: Bench, error: TokenprovError) -> None:
    bench.listener(
        TokenPassedOver(
            reader=bench.reader, label=bench.reader, reason=error.message, remedy=error.remedy
        )
    )
