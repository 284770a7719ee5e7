"""`tokenprov batch set-aside|retry`: bad tokens are taken out, others take their places."""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.aside import retry, set_aside
from tokenprov.cli.batch_end import batch_named, operator_option
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.signing import agreed
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.policy import Agreement
from tokenprov.record.aside import AsideRecord


@click.command("set-aside")
@click.argument("serial")
@click.option("--reason", required=True, help="Why; it is recorded in the manifest.")
@agreed
@operator_option
@as_json
@click.pass_obj
def set_aside_(
    home_path: Path,
    serial: str,
    reason: str,
    agreement: Agreement,
    operator: str,
    as_json: bool,
) -> None:
    """Never take a bad token again; its order goes to the next one."""
    reason = _said(reason)
    home = Home.open(home_path)
    with home.working():
        catch_up(home)
        done = set_aside(home, serial, reason=reason, operator=operator, agreement=agreement)
        _print_aside([done], as_json)


@click.command("retry")
@click.argument("batch_id")
@click.option("--reason", default="", help="Why.  [default: what each order failed with]")
@agreed
@operator_option
@as_json
@click.pass_obj
def retry_(
    home_path: Path,
    batch_id: str,
    reason: str,
    agreement: Agreement,
    operator: str,
    as_json: bool,
) -> None:
    """Set the tokens of all failed orders aside; other tokens take their places.

    A token that only was not touched in time needs none of this: `batch run` goes on with it.
    """
    home = Home.open(home_path)
    found = batch_named(home, batch_id)
    with home.working():
        catch_up(home)
        done = retry(home, found, reason=reason.strip(), operator=operator, agreement=agreement)
        _print_aside(done, as_json)


def _said(reason: str) -> str:
    """Raises `InputError` for a reason that says nothing."""
    if not reason.strip():
        raise InputError(
            "no token is set aside without a reason",
            remedy="Give --reason, as in --reason 'its contacts are bent'.",
        )
    return reason.strip()


def _print_aside(records: list[AsideRecord], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "serial": one.label,
                    "batch": one.batch,
                    "order": one.order,
                    "reason": one.reason,
                    "entry": one.entry_index,
                }
                for one in records
            ]
        )
        return
    print_table(
        ("serial", "order that is open again", "why"),
        [(one.label, one.order, one.reason) for one in records],
    )
