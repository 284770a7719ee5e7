"""`tokenprov issuer export-requests|import-certificates`: an authority that no network leads to."""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.carried import LIST, Carried, export_requests, import_certificates
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.errors import IssuerError
from tokenprov.home import Home


@click.group()
def issuer() -> None:
    """Authorities that no network leads to (issuer = "file:…"): requests out, certificates in."""


@issuer.command("export-requests")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--batch", default="", help="Of this batch alone.")
@as_json
@click.pass_obj
def export_(home_path: Path, folder: Path, batch: str, as_json: bool) -> None:
    """Write the requests that wait for a certificate into FOLDER: a PKCS#10 file each, and a list.

    Sign them anywhere, and bring the certificates back with `import-certificates`.
    """
    home = Home.open(home_path)
    written = export_requests(home, folder, batch)
    _print(written, as_json, "file")
    click.echo(f"{len(written)} requests are in {folder}, and {LIST} tells of them", err=True)


@issuer.command("import-certificates")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@as_json
@click.pass_obj
def import_(home_path: Path, files: tuple[Path, ...], as_json: bool) -> None:
    """Take certificates (PEM, DER, PKCS#7) for the requests that wait for them.

    Each is checked first: key, names, dates, and the chain to the authority's root. Then run the
    batch again: its tokens, put in again, go on.
    """
    home = Home.open(home_path)
    with home.working():
        taken, refused = import_certificates(home, files)
    _print(taken, as_json, "certificate")
    if refused:
        lines = "; ".join(error.message for error in refused)
        raise IssuerError(f"{len(refused)} not taken in: {lines}", remedy=refused[0].remedy)


def _print(carried: list[Carried], as_json: bool, last: str) -> None:
    if as_json:
        print_json([one.to_json() for one in carried])
        return
    print_table(
        ("request", "token", "holder", "authority", last),
        [
            (one.request, one.token, one.holder, one.authority, one.file or one.serial)
            for one in carried
        ],
    )
