"""`tokenprov holder show|tokens|leave|erase|recovery-codes|prove`: whom tokens are bound to."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import click

from tokenprov.cli.holder_known import prove, recovery_codes_
from tokenprov.cli.lifecycle import desk_reason
from tokenprov.cli.output import as_json, facts_line, print_json, print_table
from tokenprov.cli.signing import agreed
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import leaving, recovery_codes
from tokenprov.lifecycle.leaving import Left, Living
from tokenprov.lifecycle.subject import Issued, holder_id, tokens_of
from tokenprov.lifecycle.work import Order
from tokenprov.model import Json
from tokenprov.policy import Act, Action, Agreement, enforce
from tokenprov.record.erasure import forget_erased, record_erasure
from tokenprov.record.manifest import Addition
from tokenprov.station.screens import kit_name

_HOURS = 18  # FIPS 201-3 2.9.1: a card that is ended is ended everywhere within them


@click.group()
def holder() -> None:
    """The people that tokens are bound to."""


holder.add_command(recovery_codes_)
holder.add_command(prove)


@holder.command()
@click.argument("holder_id", metavar="HOLDER")
@click.option("--reason", required=True, help="Why, in words; not who. It stays on the record.")
@agreed
@click.option("--operator", default=getpass.getuser, help="Who you are.  [default: your login]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def erase(
    home_path: Path,
    holder_id: str,
    reason: str,
    agreement: Agreement,
    operator: str,
    yes: bool,
) -> None:
    """Destroy what names HOLDER (the id of the roster), on the record. It cannot be undone.

    The manifest still verifies: it shows that somebody had these tokens, and no longer who.
    """
    if not yes:
        click.confirm(f"Forget who {holder_id} is, for good?", abort=True, err=True)
    home = Home.open(home_path)

    def clear(held: str) -> Callable[[Addition], Addition]:
        act = Act(action=Action.ERASE, operator=operator, about={"holder": held or "none"})
        return enforce(home, act, agreement).cover

    with home.working():
        recorded = record_erasure(
            home.manifest,
            home.ledger,
            holder_id,
            station=home.name,
            operator=operator,
            reason=reason,
            at=home.clock(),
            clear=clear,
        )
        done = forget_erased(home.manifest, home.ledger, holder_id, recorded)
        recovery_codes.drop_ended(home)
    click.echo(
        f"{holder_id} is erased: {len(done.commitments)} identities, {done.certificates}"
        f" certificates, {done.orders} orders in the ledger."
    )
    click.echo(
        "  Copies of the manifest's folder, exported tables and credentials at relying parties are"
        " not reached from here.",
        err=True,
    )


@holder.command()
@click.argument("who", metavar="HOLDER")
@as_json
@click.pass_obj
def show(home_path: Path, who: str, as_json: bool) -> None:
    """Who HOLDER is, and what relies on their tokens, looked at where it is accepted."""
    home = Home.open(home_path)
    id = holder_id(home, who)
    tokens = tokens_of(home, id)
    found = [one for token in tokens for one in leaving.relying_on(home, token)]
    document: dict[str, Json] = {
        "holder": tokens[-1].holder.to_json(),
        "tokens": [_token(home, token) for token in tokens],
        "relying": [one.to_json() for one in found],
        "orders": leaving.to_be_made(home, id),
        "recoveryCodes": None,
    }
    codes = recovery_codes.left(home, tokens[-1].commitment)
    if codes is not None:
        document["recoveryCodes"] = {"left": codes.left, "until": codes.until.isoformat()}
    if as_json:
        print_json(document)
        return
    click.echo(facts_line(document["holder"]))
    _print_tokens(document["tokens"])
    _print_living(found)
    if codes is not None:
        click.echo(f"{codes.left} recovery codes are left, until {codes.until}")


@holder.command()
@click.argument("who", metavar="HOLDER")
@as_json
@click.pass_obj
def tokens(home_path: Path, who: str, as_json: bool) -> None:
    """The tokens that were issued to HOLDER, and where each stands."""
    home = Home.open(home_path)
    found = [_token(home, token) for token in tokens_of(home, holder_id(home, who))]
    if as_json:
        print_json(found)
    else:
        _print_tokens(found)


@holder.command()
@click.argument("who", metavar="HOLDER")
@click.option(
    "--within",
    type=click.IntRange(1),
    default=_HOURS,
    show_default=True,
    help="Hours in which all of it is to have ended.",
)
@desk_reason
@click.pass_obj
def leave(
    home_path: Path,
    who: str,
    within: int,
    reason: str,
    operator: str,
    agreement: Agreement,
    dry_run: bool,
    as_json: bool,
) -> None:
    """End everything that HOLDER has, and say what still lives where.

    Run again, it tries what is left. Exit code 5: an issuer did not do its part yet.
    """
    home = Home.open(home_path)
    id = holder_id(home, who)
    until = home.clock() + timedelta(hours=within)
    done = Left(ended=(), failed=())
    if not dry_run:
        with home.working():
            catch_up(home)
            order = Order(operator=operator, reason=reason, agreement=agreement)
            done = leaving.leave(home, id, order)
    left = leaving.living(home, id)
    document: dict[str, Json] = {
        "holder": id,
        "ended": [token.label for token in done.ended],
        "living": [one.to_json() for one in left],
        "orders": leaving.to_be_made(home, id),
        "until": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if as_json:
        print_json(document)
    else:
        for token in done.ended:
            click.echo(f"token {token.label} is revoked")
        _print_living(left)
        for order_id in document["orders"]:
            click.echo(f"order {order_id} is still to be made: close its batch")
        if left:
            click.echo(f"to have ended by {document['until']}")
    if done.failed:
        raise done.failed[0][1]


def _token(home: Home, token: Issued) -> dict[str, Json]:
    return {
        "serial": token.label,
        "model": token.token.model,
        "state": str(token.state),
        "since": home.manifest.entry(token.since)["time"],
        "kit": token.order.order.position,
        "profile": token.order.order.profile,
        "issued": token.entry["time"],
        "unfinished": [str(one.kind) for one in home.ledger.works.unfinished(token.label)],
        "lastDay": token.holder.last_day.isoformat() if token.holder.last_day else None,
    }


def _print_tokens(found: list[dict[str, Json]]) -> None:
    print_table(
        ("serial", "kit", "state", "since", "profile", "issued", "to be finished"),
        [
            (
                one["serial"],
                kit_name(one["kit"]),
                one["state"],
                one["since"],
                one["profile"],
                one["issued"],
                ", ".join(one["unfinished"]),
            )
            for one in found
        ],
    )


def _print_living(found: Sequence[Living]) -> None:
    words = {True: "accepted", False: "ended", None: "not known here"}
    print_table(
        ("serial", "relies on it", "", "where"),
        [
            (
                one.token.label,
                one.credential.title,
                one.trouble or words[one.accepted],
                one.credential.where,
            )
            for one in found
        ],
    )
