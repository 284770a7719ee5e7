"""`tokenprov suspend|resume|revoke`: whether a token is accepted, on the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from tokenprov.cli.lifecycle import cause_options, desk_reason, print_parts, reason_with
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import standing
from tokenprov.lifecycle.subject import Issued, the_one
from tokenprov.lifecycle.work import Order
from tokenprov.model import Cause
from tokenprov.policy import Agreement
from tokenprov.record.history import State

_ENDING = tuple(cause for cause in Cause if cause is not standing.COMING_BACK)


@click.command()
@click.argument("subject", metavar="SERIAL|HOLDER")
@desk_reason
@click.pass_obj
def suspend(
    home_path: Path,
    subject: str,
    reason: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Have a token accepted nowhere until it is resumed."""
    home = Home.open(home_path)
    order = Order(operator=operator, reason=reason, agreement=agreement)

    def act(token: Issued) -> int:
        return standing.suspend(home, token, order)

    _standing(home, subject, (State.HELD,), standing.COMING_BACK, act, dry_run, as_json)


@click.command()
@click.argument("subject", metavar="SERIAL|HOLDER")
@desk_reason
@click.pass_obj
def resume(
    home_path: Path,
    subject: str,
    reason: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Have a suspended token accepted again."""
    home = Home.open(home_path)
    order = Order(operator=operator, reason=reason, agreement=agreement)

    def act(token: Issued) -> int:
        return standing.resume(home, token, order)

    _standing(home, subject, (State.SUSPENDED,), None, act, dry_run, as_json)


@click.command()
@click.argument("subject", metavar="SERIAL|HOLDER")
@cause_options(_ENDING)
@click.pass_obj
def revoke(
    home_path: Path,
    subject: str,
    cause: str,
    note: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """End a token's binding for good: it is accepted nowhere any more."""
    home = Home.open(home_path)
    reason = reason_with(cause, note)
    order = Order(operator=operator, reason=reason, agreement=agreement)

    def act(token: Issued) -> int:
        return standing.revoke(home, token, Cause(cause), order)

    before = (State.HELD, State.SUSPENDED)
    _standing(home, subject, before, Cause(cause), act, dry_run, as_json)


def _standing(
    home: Home,
    subject: str,
    before: tuple[State, ...],
    cause: Cause | None,
    act: Callable[[Issued], int],
    dry_run: bool,
    as_json: bool,
) -> None:
    if dry_run:
        token = the_one(home, subject, *before)
        parts = (
            standing.ending_parts(home, token, cause)
            if cause is not None
            else standing.resuming_parts(home, token)
        )
        print_parts(home, token, standing.planned(home, parts), as_json)
        return
    with home.working():
        catch_up(home)
        token = the_one(home, subject, *before)
        print_parts(home, token, act(token), as_json)
