"""`tokenprov rotate`: secrets of a token, or of all that come by, are made anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import click

from tokenprov.cli.custodians import custodian_key
from tokenprov.cli.lifecycle import (
    Place,
    bench_at,
    desk_reason,
    opening,
    place_of,
    planned_json,
    print_written,
    told_json,
)
from tokenprov.cli.output import print_json
from tokenprov.cli.readers import come_by, module_option
from tokenprov.custody import AnyKey
from tokenprov.device.sources import source_of
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
from tokenprov.unnumbered import recognise


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
@module_option
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
    module: str | None,
    given: tuple[str, ...],
    key_given: str,
    passphrase: bool,
    reason: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a token's PUK, management keys, admin PIN, reset code, access and lock codes anew.

    The custodian's key opens what is in force; what takes its place is sealed before it is written.
    """
    if every is (subject is not None) or (module is not None and not every):
        raise InputError(
            "say which token is meant",
            remedy="Name one by its serial, or write --all, which --module goes with.",
        )
    home = Home.open(home_path)
    what = [What(one) for one in given] or list(rotation.UNASKED)
    order = Order(operator=operator, reason=reason, agreement=agreement)
    places = _coming_by(module, wait)
    if subject is not None:
        places = iter([place_of(home, the_one(home, subject, State.HELD))])
    made = []
    with custodian_key(key_given, passphrase) as key:
        for place in places:
            with bench_at(place, as_json) as bench:
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
        return planned_json(
            token, preview(home, token, bench, names, rotation.make(home, token, what))
        )
    with home.working():
        catch_up(home)
        begun = rotation.begin(home, find_token(home, token.label), what, order)
    kinds = {one.kind for one in rotation.wanted(begun)}
    held = open_in_force(home, begun, kinds, key)
    with home.working():
        index = rotation.rotate(home, begun, bench, held)
    return told_json(home, token, index)


def _coming_by(module: str | None, wait: float) -> Iterator[Place]:
    with closing(source_of(module)) as source:
        for reader in come_by(wait, source):
            yield Place(reader=reader, source=source)


def _here(home: Home, bench: Bench) -> Issued:
    with bench.opened() as there:
        recognise(home, there)
        return find_token(home, there.id.label)


def _pass_over(bench: Bench, error: TokenprovError) -> None:
    bench.listener(
        TokenPassedOver(
            reader=bench.reader, label=bench.reader, reason=error.message, remedy=error.remedy
        )
    )
