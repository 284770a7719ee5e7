"""`tokenprov token …`: what is plugged in; `token_audit` has what is on it, and should be."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from tokenprov.cli.commands import Commands
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.readers import known_here, module_option, seen
from tokenprov.device.sources import source_of


@click.group(
    cls=Commands,
    elsewhere={
        "show": "token_audit:show",
        "audit": "token_audit:audit_tokens",
        "prove": "token_prove:prove_",
        "name": "token_name:name_cards",
    },
)
def token() -> None:
    """Tokens that are plugged in."""


@token.command("list")
@module_option
@as_json
@click.pass_obj
def list_tokens(home_path: Path, module: str | None, as_json: bool) -> None:
    """Readers with a token, and what it says it is.

    One without a serial shows by the mark that it proves, where the station made it.
    """
    with closing(source_of(module)) as source:
        found = seen(source, known_here(home_path))
    if as_json:
        print_json(
            [
                {
                    "reader": name,
                    "serial": here.serial if here else None,
                    "mark": here.mark or None if here else None,
                    "model": here.model if here else None,
                    "firmware": here.firmware if here else None,
                    "trouble": trouble,
                }
                for name, here, trouble in found
            ]
        )
        return
    print_table(
        ("reader", "serial", "model", "firmware", ""),
        [
            (
                name,
                here.label if here else "",
                here.model if here else "",
                here.firmware if here else "",
                trouble,
            )
            for name, here, trouble in found
        ],
    )
