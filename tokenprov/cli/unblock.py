"""`tokenprov unblock`: a new PIN for a holder, set by the PUK out of escrow."""

from __future__ import annotations

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
    planned_json,
    print_written,
    told_json,
)
from tokenprov.cli.output import print_json
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import fido_again, unblocking
from tokenprov.lifecycle.subject import Issued, the_one
from tokenprov.lifecycle.telling import in_force, open_in_force, preview
from tokenprov.lifecycle.work import Order
from tokenprov.model import Json
from tokenprov.policy import Agreement
from tokenprov.record.history import State


@click.command()
@click.argument("subject", metavar="SERIAL|HOLDER")
@optional_opening
@click.option(
    "--fido2",
    is_flag=True,
    help="Its FIDO2 PIN: FIDO2 is reset, every passkey on it ends, and it is set up anew.",
)
@desk_reason
@click.pass_obj
def unblock(
    home_path: Path,
    subject: str,
    key_given: str | None,
    passphrase: bool,
    fido2: bool,
    reason: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give the holder of a token a new PIN; the help desk's key opens its PUK.

    Behind a PKCS#11 module token administration's key opens the SO PIN, which sets it.

    The new PIN is sealed to the help desk: tokenprov escrow open SERIAL --name piv/pin (behind a
    module: --name pkcs11/user-pin). A FIDO2 PIN has no PUK: with --fido2 the token is put in again
    and touched, and no key is needed.
    """
    if fido2 is (key_given is not None):
        raise InputError(
            "say which PIN is meant",
            remedy="Give --key KEY, the help desk's, for the PIV PIN; or --fido2 without a key.",
        )
    home = Home.open(home_path)
    token = the_one(home, subject, State.HELD)
    sent = fido2 and fido_again.is_sent(home, token)
    place = place_of(home, token, left=partial(fido_again.is_left, home, token) if sent else None)
    order = Order(operator=operator, reason=reason, agreement=agreement)
    if key_given is None:
        _print(_again(home, token, place, order, dry_run=dry_run, as_json=as_json), as_json)
        return
    with custodian_key(key_given, passphrase) as key:
        if dry_run:
            names = [one.name for one in in_force(home, token, unblocking.needs(token), key)]
            with bench_at(place, as_json) as bench:
                steps = preview(home, token, bench, names, unblocking.make(home, token))
            _print(planned_json(token, steps), as_json)
            return
        with home.working():
            catch_up(home)
            begun = unblocking.begin(home, the_one(home, subject, State.HELD), order)
        held = open_in_force(home, begun, unblocking.needs(token), key)
    with home.working(), bench_at(place, as_json) as bench:
        index = unblocking.unblock(home, begun, bench, held)
    _print(told_json(home, token, index), as_json)


def _again(
    home: Home, token: Issued, place: Place, order: Order, *, dry_run: bool, as_json: bool
) -> dict[str, Json]:
    """FIDO2 reset and set up anew; of a dry run the steps, as far as they show before it."""
    if dry_run:
        with bench_at(place, as_json) as bench:
            steps = preview(home, token, bench, (), fido_again.make(home, token))
        return planned_json(token, [fido_again.after_reset(one) for one in steps])
    with home.working(), bench_at(place, as_json) as bench:
        catch_up(home)
        begun = fido_again.begin(home, the_one(home, token.label, State.HELD), order)
        index = fido_again.set_up_again(home, begun, bench)
    return told_json(home, token, index)


def _print(document: dict[str, Json], as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_written(document)
