"""`tokenprov people`: who may request, approve, operate or witness at a station."""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.cli.custodians import recorded
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.signing import agreed
from tokenprov.home import Home
from tokenprov.people import change_person, load_public_key, person_of
from tokenprov.policy import Agreement
from tokenprov.record.people import Role


@click.group()
def people() -> None:
    """The people of the station, with their keys and roles."""


@people.command()
@click.argument("name")
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Their public key (PEM, Ed25519 or P-256).",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([role.value for role in Role]),
    help="What they may do; may be given several times.",
)
@agreed
@recorded
@click.pass_obj
def add(
    home_path: Path,
    name: str,
    key_file: Path,
    roles: tuple[str, ...],
    agreement: Agreement,
    reason: str,
    operator: str,
) -> None:
    """Let NAME do what their roles say, by their key; again with other roles changes them."""
    home = Home.open(home_path)
    person = change_person(
        home,
        load_public_key(name, key_file),
        map(Role, roles),
        operator=operator,
        reason=reason,
        agreement=agreement,
    )
    click.echo(f"{name} is {', '.join(sorted(person.roles))} by key {person.key}")


@people.command()
@click.argument("name")
@agreed
@recorded
@click.pass_obj
def remove(home_path: Path, name: str, agreement: Agreement, reason: str, operator: str) -> None:
    """Let NAME do nothing any more. What they signed before stays as it was."""
    home = Home.open(home_path)
    key = person_of(home, name).key
    change_person(home, key, (), operator=operator, reason=reason, agreement=agreement)
    click.echo(f"{name} may do nothing here any more")


@people.command("list")
@as_json
@click.pass_obj
def list_(home_path: Path, as_json: bool) -> None:
    """Who has which roles, by which key."""
    found = [one for _, one in sorted(Home.open(home_path).manifest.people().items()) if one.roles]
    if as_json:
        print_json(
            [
                {"name": one.name, "roles": sorted(map(str, one.roles)), "key": str(one.key)}
                for one in found
            ]
        )
        return
    print_table(
        ("name", "roles", "key"),
        [(one.name, ", ".join(sorted(one.roles)), str(one.key)) for one in found],
    )
