"""`tokenprov trace`: the chain of control from enrolment to today, and its weakest links."""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.home import Home
from tokenprov.lifecycle.subject import find_tokens
from tokenprov.lifecycle.trace import trace as chain_of
from tokenprov.lifecycle.trace import weakest


@click.command()
@click.argument("subject", metavar="SERIAL|HOLDER")
@as_json
@click.pass_obj
def trace(home_path: Path, subject: str, as_json: bool) -> None:
    """Every event of a token or a holder: who requested, approved, operated, on what evidence.

    A link that lacks something, or asks for less than the first binding did, is told.
    """
    home = Home.open(home_path)
    chain = chain_of(home, find_tokens(home, subject))
    if as_json:
        print_json([link.to_json() for link in chain])
        return
    print_table(
        ("#", "time", "what", "serial", "requested", "approved", "operated", "evidence"),
        [
            (
                "" if link.index is None else str(link.index),
                link.time,
                f"{link.what} ({link.grade})" if link.grade else link.what,
                link.serial,
                link.requester,
                ", ".join(link.approvers),
                link.operator,
                ", ".join(link.evidence),
            )
            for link in chain
        ],
    )
    for link in weakest(chain):
        place = "" if link.index is None else f" {link.index}"
        for fault in link.faults:
            click.echo(f"{link.what}{place}: {fault}")
