"""`tokenprov batch close|export`: the statement of what came of a batch, and what goes out."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json
from tokenprov.cli.signing import agreed
from tokenprov.closing import close
from tokenprov.custody import Reason
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.issuance import catch_up
from tokenprov.model import Purpose
from tokenprov.policy import Agreement
from tokenprov.record.escrow import load_key
from tokenprov.record.rows import Batch
from tokenprov.signing import ask_unseen

operator_option = click.option(
    "--operator", default=getpass.getuser, help="Who you are.  [default: your login]"
)


def batch_named(home: Home, batch_id: str) -> Batch:
    """The batch of that id. Raises `InputError`."""
    found = home.ledger.batch(batch_id)
    if found is None:
        raise InputError(f"there is no batch {batch_id}", remedy="See: tokenprov batch status")
    return found


@click.command("close")
@click.argument("batch_id")
@click.option("--reason", default="", help="Why orders are left, where some are.")
@operator_option
@as_json
@click.pass_obj
def close_(home_path: Path, batch_id: str, reason: str, operator: str, as_json: bool) -> None:
    """State the counts of a batch in the manifest; it takes no more tokens."""
    home = Home.open(home_path)
    with home.working():
        catch_up(home)
        made = close(home, batch_named(home, batch_id), reason=reason.strip(), operator=operator)
    if as_json:
        print_json(made.to_json())
        return
    click.echo(
        f"batch {made.batch} is closed by entry {made.entry}: {made.ordered} ordered,"
        f" {made.issued} issued, {made.left} left; {made.aside} tokens set aside"
    )


@click.command("export")
@click.argument("batch_id")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--letters", "wants_letters", is_flag=True, help="PIN letters instead; needs --key.")
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path), help="Private key of --purpose (PEM)."
)
@click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase.")
@click.option(
    "--purpose",
    type=click.Choice([Purpose.HELP_DESK.value, Purpose.BREAK_GLASS.value]),
    default=Purpose.HELP_DESK.value,
    show_default=True,
    help="Whose key it is.",
)
@click.option("--reason", default="", help="Why the PINs are opened; it is recorded.")
@agreed
@operator_option
@as_json
@click.pass_obj
def export_(
    home_path: Path,
    batch_id: str,
    folder: Path,
    wants_letters: bool,
    key_file: Path | None,
    passphrase: bool,
    purpose: str,
    reason: str,
    agreement: Agreement,
    operator: str,
    as_json: bool,
) -> None:
    """Write tokens.csv for the service desk and labels.pdf into FOLDER, or pin-letters.pdf."""
    from tokenprov.export import export, export_letters  # the PDF library takes its time

    if wants_letters is not (key_file is not None):
        raise InputError(
            "--letters and --key go together",
            remedy="PIN letters are made with a custodian's private key: --letters --key FILE"
            " --reason TEXT.",
        )
    home = Home.open(home_path)
    found = batch_named(home, batch_id)
    if key_file is None:
        written = export(home, found, folder)
    else:
        why = Reason(operator=operator, text=reason, agreement=agreement)
        secret = ask_unseen("Passphrase: ") if passphrase else None
        key = load_key(key_file, secret)
        written = (export_letters(home, found, folder, key, why, purpose=Purpose(purpose)),)
    if as_json:
        print_json({"files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(str(path))
