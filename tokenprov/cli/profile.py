"""`tokenprov profile list|check|show|schema|diff`: profiles, before any token is there."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.errors import InputError, ProfileError
from tokenprov.model import Json
from tokenprov.profile import (
    Profile,
    TokenKind,
    check_firmware,
    check_roster,
    load_profile,
    ready_folders,
)
from tokenprov.profile.load import SUFFIX
from tokenprov.profile.paths import settings
from tokenprov.profile.schema import schema as language_schema
from tokenprov.profile.toml_text import toml_text, toml_value
from tokenprov.roster import load_roster

_MODEL = re.compile(r"(?:(yubikey|security-key)-)?(\d+)\.(\d+)(?:\.(\d+))?(-fips)?", re.ASCII)


@click.group()
def profile() -> None:
    """Profiles: what a token must look like."""


@profile.command("list")
@as_json
def list_profiles(as_json: bool) -> None:
    """The ready profiles, by their names."""
    rows = [_listed(path) for folder in ready_folders() for path in sorted(folder.glob("*.toml"))]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("profile", "what for", ""),
        [(row["name"], row["description"], row.get("trouble", "")) for row in rows],
    )


def _listed(path: Path) -> dict[str, Json]:
    row: dict[str, Json] = {"name": path.name.removesuffix(SUFFIX), "file": str(path)}
    try:
        found = load_profile(path)
    except ProfileError as error:
        return {**row, "description": "", "trouble": error.message}
    return {**row, "description": found.description, "digest": found.digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of token, as somebody names it on the command line."""

    text: str
    version: tuple[int, int, int]
    kind: TokenKind
    fips: bool

    @classmethod
    def parse(cls, text: str) -> Model:
        """`5.4.3`, `5.7.4-fips`, `security-key-5.7`. Raises `InputError`."""
        found = _MODEL.fullmatch(text)
        if found is None:
            raise InputError(
                f"{text!r} is not a model",
                remedy="Write the firmware as in 5.4.3 or 5.7.4-fips, or security-key-5.7.",
            )
        kind = TokenKind.SECURITY_KEY if found[1] == "security-key" else TokenKind.YUBIKEY
        version = (int(found[2]), int(found[3]), int(found[4] or 0))
        return cls(text=text, version=version, kind=kind, fips=bool(found[5]))

    def check(self, wanted: Profile) -> dict[str, Json]:
        """What of a profile such a token gets."""
        try:
            left_out = check_firmware(wanted, self.version, self.kind, fips=self.fips)
        except ProfileError as error:
            refused = [
                {"setting": one.field, "reason": one.message, "remedy": one.remedy}
                for one in error.problems
            ]
            return {"model": self.text, "leftOut": [], "refused": refused}
        return {"model": self.text, "leftOut": left_out, "refused": []}


@profile.command()
@click.argument("name")
@click.option("--roster", type=click.Path(path_type=Path), help="Whether its holders fit, too.")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Whether a token fits: its firmware, as 5.4.3 or 5.7.4-fips, or security-key-5.7.",
)
@as_json
def check(name: str, roster: Path | None, models: tuple[str, ...], as_json: bool) -> None:
    """Whether the profile NAME (a ready one, or a file) holds, alone and against what is named."""
    wanted = load_profile(name)
    named = [Model.parse(text) for text in models]
    holders = None
    if roster is not None:
        found = load_roster(roster, today=datetime.now(UTC).date())
        check_roster(wanted, found)
        holders = len(found.holders)
    verdicts = [model.check(wanted) for model in named]
    if as_json:
        document = {"name": wanted.name, "digest": wanted.digest, "models": verdicts}
        print_json(document if holders is None else {**document, "holders": holders})
    else:
        click.echo(f"{wanted.name} holds, digest {wanted.digest}")
        if holders is not None:
            click.echo(f"{roster}: {holders} holders have what it needs")
        for verdict in verdicts:
            _print_verdict(verdict)
    if any(verdict["refused"] for verdict in verdicts):
        sys.exit(ProfileError.exit_code)


def _print_verdict(verdict: dict[str, Json]) -> None:
    how = "cannot have it" if verdict["refused"] else "can have it"
    click.echo(f"{verdict['model']} {how}{', but for' if verdict['leftOut'] else ''}")
    for text in verdict["leftOut"]:
        click.echo(f"  left out: {text}")
    for one in verdict["refused"]:
        click.echo(f"  {one['setting']}: {one['reason']}\n    {one['remedy']}")


@profile.command()
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """The profile with what it extends and every default written out, as TOML."""
    document = load_profile(name).to_json()
    if as_json:
        print_json(document)
    else:
        click.echo(toml_text(document), nl=False)


@profile.command()
@as_json
def schema(as_json: bool) -> None:
    """The language as a JSON Schema, for editors that complete and check TOML; always JSON."""
    print_json(language_schema())


@profile.command()
@click.argument("old")
@click.argument("new")
@as_json
def diff(old: str, new: str, as_json: bool) -> None:
    """What differs between the profiles OLD and NEW, a setting a line, defaults included."""
    before, after = (dict(settings(load_profile(name).to_json())) for name in (old, new))
    names = [*before, *(name for name in after if name not in before)]
    changed = [name for name in names if before.get(name) != after.get(name)]
    if as_json:
        print_json(
            [
                {"setting": name}
                | ({"old": before[name]} if name in before else {})
                | ({"new": after[name]} if name in after else {})
                for name in changed
            ]
        )
        return
    for name in changed:
        for sign, side in (("-", before), ("+", after)):
            if name in side:
                click.echo(f"{sign} {name} = {toml_value(side[name])}")
