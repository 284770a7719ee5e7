"""`tokenprov holder recovery-codes|prove`: what a holder is known by when a token is lost."""

from __future__ import annotations

import getpass
from datetime import timedelta
from pathlib import Path

import click

from tokenprov.cli.custodians import recorded
from tokenprov.cli.lifecycle import bench_at, place_of
from tokenprov.cli.output import as_json, print_json
from tokenprov.cli.signing import agreed
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.lifecycle import recovery_codes
from tokenprov.lifecycle.known_by import known_by_token
from tokenprov.lifecycle.subject import find_token, holder_id
from tokenprov.lifecycle.work import Order
from tokenprov.policy import Action, Agreement
from tokenprov.record.files import create_durable, refuse_there
from tokenprov.record.holder_proof import HolderProof
from tokenprov.signing import ask_unseen

ACTS = (Action.REPLACE, Action.UNBLOCK, Action.RESUME)  # for which a holder may have to be known


@click.command("recovery-codes")
@click.argument("who", metavar="HOLDER")
@click.option(
    "--pdf",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write them on a page for the holder instead of showing them.",
)
@agreed
@recorded
@as_json
@click.pass_obj
def recovery_codes_(
    home_path: Path,
    who: str,
    pdf: Path | None,
    agreement: Agreement,
    reason: str,
    operator: str,
    as_json: bool,
) -> None:
    """Give HOLDER new recovery codes; earlier ones end. They are shown once, and kept nowhere.

    Each serves once, until their last day: tokenprov holder prove SERIAL --for ACTION
    --recovery-code.
    """
    if pdf is not None:
        refuse_there(pdf)
    home = Home.open(home_path)
    order = Order(operator=operator, reason=reason, agreement=agreement)
    with home.working():
        catch_up(home)
        given = recovery_codes.give(home, holder_id(home, who), order)
    shown = [code.reveal_text() for code in given.codes]
    if pdf is not None:
        from tokenprov.papers import recovery_sheet  # the PDF library takes its time

        page = recovery_sheet(given.holder, shown, given.until.isoformat(), home.name)
        create_durable(pdf, page, 0o600)
        shown = []
    if as_json:
        print_json(
            {
                "holder": given.holder,
                "codes": shown,
                "until": given.until.isoformat(),
                "entry": given.index,
            }
        )
        return
    for number, text in enumerate(shown, 1):
        click.echo(f"{number:3}  {text}")
    click.echo(
        f"{len(given.codes)} codes of {given.holder}, each for once, until {given.until}, by entry"
        f" {given.index}{f': {pdf}' if pdf is not None else ''}",
        err=True,
    )


@click.command()
@click.argument("serial")
@click.option(
    "--for",
    "action",
    required=True,
    type=click.Choice([str(one) for one in ACTS]),
    help="What is to be done about the token.",
)
@click.option("--with", "other", metavar="SERIAL", help="By this other token of theirs.")
@click.option("--passkey", is_flag=True, help="With --with: by its passkey, not by its PIV key.")
@click.option("--recovery-code", "by_code", is_flag=True, help="By a code, which is asked for.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to make.")
@click.option(
    "--hours",
    type=click.FloatRange(0, 72),
    default=8.0,
    show_default=True,
    help="How long it holds.",
)
@click.option("--operator", default=getpass.getuser, help="Who you are.  [default: your login]")
@as_json
@click.pass_obj
def prove(
    home_path: Path,
    serial: str,
    action: str,
    other: str | None,
    passkey: bool,
    by_code: bool,
    out: Path,
    hours: float,
    operator: str,
    as_json: bool,
) -> None:
    """Have the holder of token SERIAL prove who they are, for one act about it.

    The command that acts takes the file with --proof. The holder types the PIN of their other
    token, or a recovery code, which is used up by it.
    """
    if by_code is (other is not None) or (passkey and by_code):
        raise InputError(
            "say by what the holder is known",
            remedy="Write --with SERIAL (and --passkey), or --recovery-code.",
        )
    refuse_there(out)
    home, lasts = Home.open(home_path), timedelta(hours=hours)
    token = find_token(home, serial)
    if other is None:
        code = ask_unseen(f"Recovery code of {token.holder.name}: ")
        with home.working():
            catch_up(home)
            proof = recovery_codes.use(
                home, token, Action(action), code, operator=operator, lasts=lasts
            )
    else:
        by = find_token(home, other)
        proof = known_by_token(
            *(home, token, Action(action), by),
            lambda: bench_at(place_of(home, by), as_json),
            ask_unseen,
            lasts=lasts,
            passkey=passkey,
        )
    create_durable(out, proof.to_bytes())
    _print(proof, out, as_json)


def _print(proof: HolderProof, out: Path, as_json: bool) -> None:
    asked = proof.request
    if as_json:
        print_json(
            {
                "type": proof.type,
                "action": str(asked.action),
                "about": dict(asked.about),
                "expires": asked.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "file": str(out),
            }
        )
        return
    click.echo(
        f"{out}: known by {proof.type}, to {asked.action} token {asked.about['token']} until"
        f" {asked.expires:%Y-%m-%d %H:%M} UTC"
    )
