"""`tokenprov manifest show|history|search|export`: the record, for people and other tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from tokenprov.cli.output import as_json, facts_line, print_json, print_table
from tokenprov.errors import InputError
from tokenprov.model import Json
from tokenprov.record.commit import key_in_use
from tokenprov.record.entry import Entry, Kind, commitment_of
from tokenprov.record.export import to_csv, to_dsse, to_json
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.manifest import Manifest
from tokenprov.record.opening import Opening
from tokenprov.signing import StationKeys

_COLUMNS = ("#", "time", "kind", "serial", "holder", "kit", "profile", "operator")


def folder(home: Path, given: Path | None) -> Path:
    """The manifest's folder that was named, or the home's. Raises InputError."""
    found = given or home / "manifest"
    if not found.is_dir():
        raise InputError(
            f"{found} is not a manifest's folder",
            remedy="Name the folder that holds `checkpoint`, or the station home with --home.",
        )
    return found


@click.command()
@click.argument("index", required=False, type=click.IntRange(0))
@as_json
@click.pass_obj
def show(home: Path, index: int | None, as_json: bool) -> None:
    """The entries, joined with the names where those are held; one entry with all its facts."""
    log = Manifest.open(folder(home, None))
    if index is not None and index >= log.size:
        raise InputError(f"there is no entry {index}", remedy=f"The last entry is {log.size - 1}.")
    if index is not None and not as_json:
        entry = log.entry(index)
        print_entry(index, {**entry, **_named(log, entry)})
        return
    numbered = enumerate(log.entries()) if index is None else [(index, log.entry(index))]
    _print(log, numbered, as_json)


@click.command()
@click.argument("subject", metavar="SERIAL|HOLDER")
@as_json
@click.pass_obj
def history(home: Path, subject: str, as_json: bool) -> None:
    """All that is recorded of one token, or of one holder (id, name or mail address)."""
    log = Manifest.open(folder(home, None))
    found = set(log.found_by(f"serial {subject}"))
    for opening in _openings(log):
        if subject in (opening.holder.get(name) for name in ("id", "name", "email", "upn")):
            found |= set(log.found_by(f"holder {opening.commitment}"))
    if not found:
        raise InputError(
            f"nothing is recorded of {subject!r}",
            remedy="Give a serial, or a holder's id, name or mail address as it is in the roster;"
            " part of it: tokenprov manifest search TEXT.",
        )
    _print(log, [(number, log.entry(number)) for number in sorted(found)], as_json)


@click.command()
@click.argument("text")
@as_json
@click.pass_obj
def search(home: Path, text: str, as_json: bool) -> None:
    """The entries that have a text anywhere in them, or in the name of their holder."""
    log = Manifest.open(folder(home, None))
    wanted = text.casefold()
    found = [
        (number, entry)
        for number, entry in enumerate(log.entries())
        if wanted in json.dumps({**entry, **_named(log, entry)}, ensure_ascii=False).casefold()
    ]
    _print(log, found, as_json)


@click.command()
@click.option(
    "--format", "form", required=True, type=click.Choice(["csv", "json", "dsse"]), help="The form."
)
@click.option("--names", is_flag=True, help="With the names of holders, where they are held.")
@click.pass_obj
def export(home: Path, form: str, names: bool) -> None:
    """All entries as a table, as JSON, or as in-toto statements in DSSE, one a line."""
    log = Manifest.open(folder(home, None))
    if form == "dsse":
        signer = StationKeys(home).signer(key_in_use(ManifestFolder(folder(home, None))))
        for number, entry in enumerate(log.entries()):
            click.echo(json.dumps(to_dsse(number, entry, signer)))
        return
    numbered = (
        (number, entry, _opening(log, entry) if names else None)
        for number, entry in enumerate(log.entries())
    )
    if form == "csv":
        click.echo(to_csv(numbered), nl=False)
    else:
        print_json(to_json(numbered))


def print_entry(number: int, entry: Entry) -> None:
    """One entry with all that was read back, `holder` being the name where it is held."""
    print_table(
        ("entry", str(number)),
        [
            (name, facts_line(value))
            for name, value in entry.items()
            if name not in ("steps", "secrets", "approvers", "v", "custodians")
        ],
    )
    if entry["kind"] == Kind.ISSUED:
        click.echo("\nread back from the token:")
        print_table(
            ("setting", "state", "facts", "cannot be read back"),
            [
                (
                    step["id"],
                    step["state"],
                    facts_line(step["facts"]) or step.get("reason", ""),
                    ", ".join(step.get("unread", ())),
                )
                for step in entry["steps"]
            ],
        )
        click.echo("\nsealed:")
        print_table(
            ("secret", "who opens it", "envelope"),
            [
                (secret["name"], secret["purpose"], secret["sha256"][:16])
                for secret in entry["secrets"]
            ],
        )


def _print(log: Manifest, numbered: Iterable[tuple[int, Entry]], as_json: bool) -> None:
    if as_json:
        print_json([{"index": n, **entry, **_named(log, entry)} for n, entry in numbered])
    else:
        print_table(_COLUMNS, [_row(log, number, entry) for number, entry in numbered])


def _row(log: Manifest, number: int, entry: Entry) -> tuple[str, ...]:
    holder = _named(log, entry).get("holder", {})
    token = entry.get("token", {})
    kit = f"{entry['kit']['position'] + 1}/{entry['kit']['size']}" if "kit" in entry else ""
    return (
        str(number),
        entry["time"],
        entry["kind"],
        (token.get("serial") or token.get("mark") or "")
        + (" (virtual)" if token.get("virtual") else ""),
        str(holder.get("name", "(erased)" if holder else "")),
        kit,
        entry.get("profile", {}).get("name", ""),
        entry["operator"],
    )


def _named(log: Manifest, entry: Entry) -> dict[str, Json]:
    """The holder in place of the commitment, where the opening is held."""
    if "holder" not in entry:
        return {}
    opening = _opening(log, entry)
    return {"holder": {**entry["holder"], **(opening.holder if opening else {})}}


def _opening(log: Manifest, entry: Entry) -> Opening | None:
    commitment = commitment_of(entry)
    return log.opening(commitment) if commitment else None


def _openings(log: Manifest) -> list[Opening]:
    return [found for name in log.held_openings() if (found := log.opening(name)) is not None]
