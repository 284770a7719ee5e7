"""`tokenprov replace`: a holder gets another token in the place of one."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from tokenprov.batch import BatchWork
from tokenprov.cli.batch import ORDERS_LEFT, screen
from tokenprov.cli.custodians import custodian_key
from tokenprov.cli.day import DAY
from tokenprov.cli.lifecycle import cause_options, print_parts, reason_with
from tokenprov.cli.output import print_json
from tokenprov.errors import EscrowError, InputError
from tokenprov.events import BatchStarted
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import foreseen, replacement, standing
from tokenprov.lifecycle.replacement import Replacement
from tokenprov.lifecycle.subject import Issued, find_token
from tokenprov.lifecycle.work import Order
from tokenprov.line import Line
from tokenprov.model import Cause
from tokenprov.policy import Agreement
from tokenprov.profile import Profile, load_profile
from tokenprov.steps.piv.history import RetiredKey


@click.command()
@click.argument("subject", metavar="SERIAL|HOLDER")
@cause_options((*replacement.REPLACED_BY, Cause.FORGOTTEN))
@click.option("--profile", "profile_name", help="Today's profile.  [default: the old token's]")
@click.option(
    "--until",
    type=DAY,
    help="The last day of a token that stands in for one that was forgotten.",
)
@click.option(
    "--key",
    "key_given",
    metavar="KEY",
    help="Break-glass's private key, where encryption keys come onto the new token.",
)
@click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase.")
@click.option("--without-serial", is_flag=True, help="The new token has no serial.")
@click.option("--later", is_flag=True, help="End the old token now, make the new one later.")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    help="End when no token came for so many seconds.  [default: never on a terminal, else 0]",
)
@click.pass_obj
def replace(
    home_path: Path,
    subject: str,
    cause: str,
    note: str,
    operator: str,
    agreement: Agreement,
    profile_name: str | None,
    until: datetime | None,
    key_given: str | None,
    passphrase: bool,
    without_serial: bool,
    later: bool,
    wait: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give a holder another token in the place of the old one.

    What the profile's matrix says for the reason is done to the old one, at once or when the new
    one was issued. Run again, it goes on where it was. Exit code 8: the new token is to be made.
    """
    why = Cause(cause)
    if (why is Cause.FORGOTTEN) is not (until is not None):
        raise InputError(
            "--until and --reason forgotten go together",
            remedy="A token that stands in has a last day; one that replaces another has none.",
        )
    home = Home.open(home_path)
    profile = load_profile(profile_name) if profile_name else None
    if dry_run:
        old = replacement.meant(home, subject)
        matrix = profile.lifecycle if profile else None
        parts = standing.ending_parts(home, old, why, matrix)
        acts = foreseen.of_replacement(home, old, why, profile)
        print_parts(home, old, standing.planned(home, parts), as_json, beside=acts)
        return
    reason = reason_with(cause, note)
    order = Order(operator=operator, reason=reason, agreement=agreement)
    with home.working():
        catch_up(home)
        old = replacement.meant(home, subject)
        last = until.date() if until else None
        made = replacement.begin(home, old, why, order, profile=profile, until=last)
        replacement.end_at_once(home, made)
    new = None
    if not later:
        history = _history(home, made, key_given, passphrase)
        if wait is None:
            wait = None if sys.stdin.isatty() else 0.0
        with home.working():
            new = _make(home, made, history, operator, wait, int(without_serial), as_json)
    _print(home, made, new, as_json)
    if new is None:
        sys.exit(ORDERS_LEFT)


def _history(
    home: Home, made: Replacement, key_given: str | None, passphrase: bool
) -> tuple[RetiredKey, ...]:
    wanted = replacement.wanted_keys(home, made)
    if not wanted:
        return ()
    if key_given is None:
        raise EscrowError(
            f"{len(wanted)} encryption keys of token {made.old.label} come onto the new one, and"
            " break-glass opens them",
            remedy="Run the same command with --key KEY; what comes before it was done.",
        )
    with custodian_key(key_given, passphrase) as key:
        return replacement.old_keys(home, made, key)


def _make(
    home: Home,
    made: Replacement,
    history: tuple[RetiredKey, ...],
    operator: str,
    wait: float | None,
    without_serial: int,
    as_json: bool,
) -> Issued | None:
    """Have the line make the order, and link the two; None where no token came."""
    profile: Profile = made.profile
    with screen(as_json) as listener:
        work = BatchWork(
            *(home, profile, made.batch),
            operator=operator,
            listener=listener,
            history=history,
            clearance=made.work.clearance,
        )
        if work.left:
            listener(
                BatchStarted(batch=made.batch.id, profile=profile.name, open=work.left, total=1)
            )
            line = Line(home, work, profile, listener, without_serial=without_serial)
            line.run(patience=wait)
    return replacement.finish(home, made)


def _print(home: Home, made: Replacement, new: Issued | None, as_json: bool) -> None:
    old = find_token(home, made.old.label)
    if as_json:
        print_json(
            {
                "holder": old.holder.name,
                "old": {"serial": old.label, "state": str(old.state), "entry": old.since},
                "new": {"serial": new.label, "state": str(new.state), "entry": new.index}
                if new
                else None,
                "batch": made.batch.id,
            }
        )
        return
    click.echo(f"token {old.label} of {old.holder.name} is {old.state} by entry {old.since}")
    if new is not None:
        click.echo(f"token {new.label} is in its place, issued by entry {new.index}")
    else:
        click.echo(
            f"the new token is to be made: tokenprov replace {old.label} --reason {made.cause}",
            err=True,
        )
