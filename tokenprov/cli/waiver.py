"""`tokenprov waiver grant|list`: exceptions to the policy, each with a last day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from tokenprov.cli.custodians import recorded
from tokenprov.cli.day import DAY
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.signing import agreed
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.model import Json
from tokenprov.policy import Agreement
from tokenprov.policy.change import grant as grant_waiver
from tokenprov.policy.waivers import Waiver, waivers_of
from tokenprov.record.lives import entries_of


@click.group()
def waiver() -> None:
    """Rules that are broken on purpose, for a reason, by agreement, until a last day."""


@waiver.command()
@click.argument("rule")
@click.option("--until", required=True, type=DAY, help="Its last day.")
@click.option("--token", "serial", help="For this token alone.")
@click.option("--holder", "holder_id", help="For this holder alone (the id of the roster).")
@click.option("--batch", "batch_id", help="For this batch alone.")
@agreed
@recorded
@click.pass_obj
def grant(
    home_path: Path,
    rule: str,
    until: datetime,
    serial: str | None,
    holder_id: str | None,
    batch_id: str | None,
    agreement: Agreement,
    reason: str,
    operator: str,
) -> None:
    """Let RULE be broken until a last day; it ends by itself, and somebody else has to agree."""
    home = Home.open(home_path)
    narrowed = {}
    token = None
    if serial:
        token, narrowed["token"] = _token(home, serial), serial
    if holder_id:
        narrowed["holder"] = commitment_of(home, holder_id)
    if batch_id:
        narrowed["batch"] = batch_id
    made = grant_waiver(
        home,
        rule,
        until.date(),
        operator=operator,
        reason=reason,
        narrowed=narrowed,
        token=token,
        agreement=agreement,
    )
    click.echo(f"{made.id}: {rule} is waived for {made.scope} until {made.until}")


@waiver.command("list")
@click.option("--all", "with_past", is_flag=True, help="Also those whose last day is past.")
@as_json
@click.pass_obj
def list_(home_path: Path, with_past: bool, as_json: bool) -> None:
    """The waivers that hold now."""
    home = Home.open(home_path)
    today = home.clock().date()
    found = [one for one in waivers_of(home) if with_past or one.holds(today)]
    if as_json:
        print_json([_document(one) | {"holds": one.holds(today)} for one in found])
        return
    print_table(
        ("waiver", "rule", "for", "until", "approved by", "reason"),
        [
            (one.id, one.rule, one.scope, str(one.until), ", ".join(one.approvers), one.reason)
            for one in found
        ],
    )


def commitment_of(home: Home, holder_id: str) -> str:
    """The commitment to a holder under which something was issued last. Raises InputError."""
    last = home.ledger.last_issued_to(holder_id)
    if last is None or last.entry_index is None:
        raise InputError(
            f"nothing was issued to holder {holder_id!r}", remedy="Give the id of the roster."
        )
    commitment: str = home.manifest.entry(last.entry_index)["holder"]["commitment"]
    return commitment


def _token(home: Home, serial: str) -> dict[str, Json]:
    for _, entry in entries_of(home.manifest, serial):
        token: dict[str, Json] = entry["token"]
        if "maker" in token:
            return token
    raise InputError(f"no token {serial} is recorded", remedy="Check the serial.")


def _document(one: Waiver) -> dict[str, Json]:
    return {
        "waiver": one.id,
        "rule": one.rule,
        "token": one.token or None,
        "holder": one.holder or None,
        "batch": one.batch or None,
        "granted": one.granted.isoformat(),
        "until": one.until.isoformat(),
        "approvers": list(one.approvers),
        "reason": one.reason,
        "entry": one.index,
    }
