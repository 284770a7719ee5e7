"""`tokenprov batch new|run|status`: the line, and where the orders stand."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from rich.console import Console

from tokenprov.batch import BatchWork
from tokenprov.cli.batch_aside import retry_, set_aside_
from tokenprov.cli.batch_end import batch_named, close_, export_, operator_option
from tokenprov.cli.output import as_json, print_json, print_json_list, print_table
from tokenprov.cli.signing import agreed
from tokenprov.closing import refuse_closed
from tokenprov.device.watch import Limits
from tokenprov.errors import InputError
from tokenprov.events import BatchStarted, HolderNamed, Listener
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle.replacement import batch_is_replacement
from tokenprov.line import Line
from tokenprov.model import OrderState, Purpose
from tokenprov.ordering import MAX_KIT, clear_batch, new_batch, open_elsewhere, profile_of
from tokenprov.policy import Agreement
from tokenprov.profile import Profile, load_profile
from tokenprov.record.rows import Batch
from tokenprov.report import OrderLine, Report
from tokenprov.roster import load_roster
from tokenprov.station.badges import Badges
from tokenprov.station.screens import json_screen, kit_name, line_screen, table_screen
from tokenprov.wipe import Permission

ORDERS_LEFT = 8  # exit code


@click.group()
def batch() -> None:
    """The orders of a roster."""


for command in (retry_, set_aside_, close_, export_):
    batch.add_command(command)


_kit_option = click.option(
    "--kit",
    type=click.IntRange(1, MAX_KIT),
    default=1,
    show_default=True,
    help="Tokens for each holder: the primary and its spares.",
)


@batch.command()
@click.argument("roster", type=click.Path(path_type=Path))
@click.option("--profile", "profile_name", required=True, help="A file, or a ready profile's name.")
@_kit_option
@operator_option
@as_json
@click.pass_obj
def new(
    home_path: Path, roster: Path, profile_name: str, kit: int, operator: str, as_json: bool
) -> None:
    """Make the batch of ROSTER without a token, for `batch run BATCH` later."""
    home = Home.open(home_path)
    holders = load_roster(roster, today=home.clock().date())
    profile = load_profile(profile_name)
    with home.working():
        catch_up(home)
        made = new_batch(home, holders, profile, kit_size=kit, operator=operator)
    total = sum(home.ledger.count_orders(made.id).values())
    if as_json:
        print_json({"batch": made.id, "orders": total})
    else:
        click.echo(f"batch {made.id}: {total} orders")
        _tell_elsewhere(home, made)


def _tell_elsewhere(home: Home, made: Batch) -> None:
    for other in open_elsewhere(home, made):
        click.echo(
            f"batch {other} has open orders for the same holders, who get the tokens of both\n"
            f"  If this one is in its place: tokenprov batch close {other} --reason TEXT",
            err=True,
        )


@batch.command()
@click.argument("what", metavar="ROSTER|BATCH")
@click.option("--profile", "profile_name", help="A file, or a ready profile's name; for a ROSTER.")
@_kit_option
@click.option(
    "--wait",
    type=click.FloatRange(0),
    help="End when no token came for so many seconds.  [default: never on a terminal, else 0]",
)
@click.option(
    "--command-limit",
    type=click.FloatRange(0, min_open=True),
    default=Limits().command,
    show_default=True,
    help="Seconds after which a token that does not answer is given up.",
)
@click.option(
    "--token-limit",
    type=click.FloatRange(0, min_open=True),
    default=Limits().token,
    show_default=True,
    help="Seconds after which a token that is not done is given up.",
)
@agreed
@operator_option
@click.option(
    "--wipe",
    "serials",
    multiple=True,
    metavar="SERIAL",
    help="Empty this token, by serial or mark, first if it is in use; can be given again. It is"
    " recorded.",
)
@click.option("--reason", default="", help="Why they may be wiped.")
@click.option(
    "--holder",
    "holders",
    multiple=True,
    metavar="ID",
    help="The first new tokens are for this holder; can be given again.",
)
@click.option(
    "--without-serial",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="So many tokens that have no serial are to come, one at a time.",
)
@click.option("--scan", is_flag=True, help="Name holders by lines on standard input, as badges do.")
@click.option("--badge-prefix", default="", help="What every badge's line begins with.")
@as_json
@click.pass_obj
def run(
    home_path: Path,
    what: str,
    profile_name: str | None,
    kit: int,
    wait: float | None,
    command_limit: float,
    token_limit: float,
    operator: str,
    agreement: Agreement,
    serials: tuple[str, ...],
    reason: str,
    holders: tuple[str, ...],
    without_serial: int,
    scan: bool,
    badge_prefix: str,
    as_json: bool,
) -> None:
    """Program the tokens that are put in, for the holders of ROSTER or the rest of BATCH."""
    permission = _permission(serials, reason, operator, agreement)
    home = Home.open(home_path)
    make, profile = _chosen(home, what, profile_name, kit, operator)
    if wait is None:
        wait = None if sys.stdin.isatty() else 0.0
    with home.working():
        catch_up(home)
        made = make()
        refuse_closed(home, made)
        if not as_json:
            _tell_elsewhere(home, made)
        with screen(as_json) as listener:
            work = BatchWork(
                *(home, profile, made),
                operator=operator,
                listener=listener,
                permission=permission,
                clearance=clear_batch(home, made, profile, operator, agreement),
            )
            counts = home.ledger.count_orders(made.id)
            total = sum(counts.values())
            listener(
                BatchStarted(
                    batch=made.id,
                    profile=profile.name,
                    open=total - counts[OrderState.ISSUED],
                    total=total,
                )
            )
            for holder in holders:
                _name(work, holder, listener)
            with _badges(work, badge_prefix, listener) if scan else nullcontext():
                limits = Limits(command=command_limit, token=token_limit)
                line = Line(home, work, profile, listener, limits, without_serial=without_serial)
                line.run(patience=wait)
    _print_report(Report(home=home, batch=made), as_json)
    if home.ledger.count_orders(made.id)[OrderState.ISSUED] < total:
        sys.exit(ORDERS_LEFT)


def _chosen(
    home: Home, what: str, profile_name: str | None, kit: int, operator: str
) -> tuple[Callable[[], Batch], Profile]:
    """How to come to the batch once the home is held, and its profile. Raises `InputError`."""
    if profile_name is not None:
        holders = load_roster(what, today=home.clock().date())
        profile = load_profile(profile_name)
        return lambda: new_batch(home, holders, profile, kit_size=kit, operator=operator), profile
    found = home.ledger.batch(what)
    if found is None:
        raise InputError(
            f"{what} is no batch, and a roster needs --profile",
            remedy="Write --profile NAME, or a batch by its id: tokenprov batch status",
        )
    replaced = batch_is_replacement(home, found.id)
    if replaced is not None:
        raise InputError(
            f"batch {found.id} is the replacement of token {replaced}",
            remedy=f"Run: tokenprov replace {replaced}, which also ends the old token.",
        )
    return lambda: found, profile_of(found)


def _badges(work: BatchWork, prefix: str, listener: Listener) -> Badges:
    return Badges(sys.stdin.fileno(), prefix, work.name_holder, listener)


def _name(work: BatchWork, holder: str, listener: Listener) -> None:
    """Raises `InputError` for a holder without an open order."""
    named = work.name_holder(holder)
    if named is None:
        raise InputError(
            f"holder {holder} has no open order in this batch",
            remedy="Check the id: batch status BATCH --json tells every order's holder.",
        )
    listener(HolderNamed(holder=named[0], orders=named[1]))


def _permission(
    serials: tuple[str, ...], reason: str, operator: str, agreement: Agreement
) -> Permission:
    """Raises `InputError` for a wipe without a reason, or the reverse."""
    reason = reason.strip()
    if bool(serials) is not bool(reason):
        raise InputError(
            "--wipe and --reason go together",
            remedy="Write --wipe SERIAL --reason TEXT; both are recorded with your name.",
        )
    named = frozenset(serials)
    return Permission(serials=named, reason=reason, operator=operator, agreement=agreement)


@contextmanager
def screen(as_json: bool) -> Iterator[Listener]:
    """What the line tells, on standard error: a table, lines, or JSON."""
    if as_json:
        with json_screen(sys.stderr) as listener:
            yield listener
    elif sys.stderr.isatty():
        with table_screen(Console(stderr=True)) as listener:
            yield listener
    else:
        with line_screen(sys.stderr) as listener:
            yield listener


@batch.command()
@click.argument("batch_id", required=False)
@as_json
@click.pass_obj
def status(home_path: Path, batch_id: str | None, as_json: bool) -> None:
    """Where the orders of a batch stand; without one, all batches."""
    home = Home.open(home_path)
    if batch_id is None:
        _print_batches(home, as_json)
        return
    _print_report(Report(home=home, batch=batch_named(home, batch_id)), as_json)


def _print_batches(home: Home, as_json: bool) -> None:
    batches = [(one, home.ledger.count_orders(one.id)) for one in home.ledger.batches()]
    if as_json:
        print_json(
            [
                {
                    "batch": one.id,
                    "profile": one.profile_name,
                    "kitSize": one.kit_size,
                    "counts": {str(state): number for state, number in counts.items()},
                }
                for one, counts in batches
            ]
        )
        return
    print_table(
        ("batch", "profile", "kit", "issued", "of"),
        [_batch_row(one, counts) for one, counts in batches],
    )


def _batch_row(one: Batch, counts: dict[OrderState, int]) -> tuple[str, ...]:
    return (
        one.id,
        one.profile_name,
        str(one.kit_size),
        str(counts[OrderState.ISSUED]),
        str(sum(counts.values())),
    )


def _print_report(made: Report, as_json: bool) -> None:
    """Who got which serial, what is on it, and where the secrets went."""
    if as_json:
        orders = (line.to_json() for line in made.lines())
        print_json_list(made.head_to_json(), "orders", orders)
        return
    contents: set[str] = set()
    sealed: dict[str, Counter[str]] = {}
    for line in made.lines():
        if line.entry is not None and len(contents) < 2:
            contents.add(_contents(line))
        for purpose, names in line.secrets.items():
            sealed.setdefault(purpose, Counter()).update(names)
    alike = contents.pop() if len(contents) == 1 else ""
    print_table(
        ("holder", "kit", "serial", "state", ""),
        (
            (
                line.holder.name,
                kit_name(line.record.order.position),
                line.serial,
                line.standing,
                line.record.reason or ("" if alike else _contents(line)),
            )
            for line in made.lines()
        ),
    )
    counts = made.counts
    issued, total = counts[OrderState.ISSUED], sum(counts.values())
    click.echo(f"\nbatch {made.batch.id}: {issued} of {total} issued")
    if alike:
        click.echo(f"on each: {alike}")
    for purpose in Purpose:
        if found := sealed.get(purpose):
            click.echo(f"sealed to {purpose}: {found.total()} secrets ({', '.join(found)})")


def _contents(line: OrderLine) -> str:
    """What a person calls the things that a token got."""
    parts = []
    for step in line.entry["steps"] if line.entry is not None else ():
        step_id, facts = step["id"], step["facts"]
        applet, _, rest = step_id.partition("/")
        if step["state"] != "match":
            continue
        if applet == "piv" and rest.endswith("/certificate"):
            parts.append(f"certificate in {rest[:2]} to {str(facts['notAfter'])[:10]}")
        elif applet == "pkcs11" and rest.endswith("/certificate"):
            key = rest.removesuffix("/certificate")
            parts.append(f"certificate of key {key} to {str(facts['notAfter'])[:10]}")
        elif applet == "otp" and "kind" in facts:  # a slot that was written
            parts.append(f"{facts['kind']} in slot {rest}")
        elif step_id.startswith("fido2/credential/"):
            parts.append(f"passkey for {facts['rpId']}")
    return ", ".join(parts)
