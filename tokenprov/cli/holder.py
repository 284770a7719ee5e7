"""`tokenprov holder erase`: forget who a holder is, and keep the record's proofs."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from tokenprov.cli.signing import agreed
from tokenprov.home import Home
from tokenprov.policy import Act, Action, Agreement, enforce
from tokenprov.record.erasure import commitments_of, erase_holder


@click.group()
def holder() -> None:
    """The people that tokens are bound to."""


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
    held = ",".join(sorted(commitments_of(home.manifest, holder_id)))
    act = Act(action=Action.ERASE, operator=operator, about={"holder": held or "none"})
    with home.working():
        done = erase_holder(
            home.manifest,
            home.ledger,
            holder_id,
            station=home.name,
            operator=operator,
            reason=reason,
            at=home.clock(),
            cover=enforce(home, act, agreement).cover,
        )
    click.echo(
        f"{holder_id} is erased: {len(done.commitments)} identities, {done.certificates}"
        f" certificates, {done.orders} orders in the ledger."
    )
    click.echo(
        "  Copies of the manifest's folder, exported tables and credentials at relying parties are"
        " not reached from here.",
        err=True,
    )
