"""`tokenprov manifest verify|show`: the record, for auditors and for people."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from tokenprov.cli.output import as_json, facts_line, print_json, print_table
from tokenprov.errors import InputError, ManifestError
from tokenprov.model import Json
from tokenprov.record.entry import Entry, Kind
from tokenprov.record.manifest import Manifest, verify_manifest


@click.group()
def manifest() -> None:
    """The signed record of which serial belongs to whom."""


def _folder(home: Path, given: Path | None) -> Path:
    folder = given or home / "manifest"
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not a manifest's folder",
            remedy="Name the folder that holds `checkpoint`, or the station home with --home.",
        )
    return folder


_folder_argument = click.argument(
    "folder", required=False, type=click.Path(file_okay=False, path_type=Path)
)


@manifest.command()
@_folder_argument
@click.option("--key", help="The verifier key (name+id+base64) that you hold; or a file with it.")
@as_json
@click.pass_obj
def verify(home: Path, folder: Path | None, key: str | None, as_json: bool) -> None:
    """Check every byte of a manifest, offline. Exit code 0: it holds; 6: it does not."""
    if key is not None and Path(key).is_file():
        key = Path(key).read_text().strip()
    where = _folder(home, folder)
    report = verify_manifest(where, key)
    if as_json:
        print_json({"holds": report.holds, **asdict(report)})
    elif report.holds:
        click.echo(
            f"{where} holds: {report.size} entries of station {report.station}, root"
            f" {report.root[:16]}…"
        )
        real = report.issued - report.virtual
        click.echo(
            f"  {report.issued} tokens issued ({real} real, {report.virtual} virtual) to"
            f" {report.identities} holders, {report.openings} of them named here"
        )
        if key is None:
            click.echo(
                "  checked with the key that lies in the folder: compare it with one that you"
                " got another way (--key)",
                err=True,
            )
    else:
        for finding in report.findings:
            click.echo(f"{finding}\n  {finding.remedy}")
        click.echo(f"{where} does not hold: {len(report.findings)} findings", err=True)
    if not report.holds:
        sys.exit(ManifestError.exit_code)


@manifest.command()
@click.argument("index", required=False, type=click.IntRange(0))
@as_json
@click.pass_obj
def show(home: Path, index: int | None, as_json: bool) -> None:
    """The entries, joined with the names where those are held; one entry with all its facts."""
    log = Manifest.open(_folder(home, None))
    if index is not None and index >= log.size:
        raise InputError(f"there is no entry {index}", remedy=f"The last entry is {log.size - 1}.")
    numbers = [index] if index is not None else list(range(log.size))
    entries = [(number, log.entry(number)) for number in numbers]
    if as_json:
        print_json([{"index": n, **e, **_named(log, e)} for n, e in entries])
    elif index is not None:
        _print_entry(log, *entries[0])
    else:
        print_table(
            ("#", "time", "kind", "serial", "holder", "kit", "profile", "operator"),
            [_row(log, number, entry) for number, entry in entries],
        )


def _named(log: Manifest, entry: Entry) -> dict[str, Json]:
    """The holder in place of the commitment, where the opening is held."""
    if "holder" not in entry:
        return {}
    opening = log.opening(entry["holder"]["commitment"])
    return {"holder": {**entry["holder"], **(opening.holder if opening else {})}}


def _row(log: Manifest, number: int, entry: Entry) -> tuple[str, ...]:
    holder = _named(log, entry).get("holder", {})
    token = entry.get("token", {})
    kit = f"{entry['kit']['position'] + 1}/{entry['kit']['size']}" if "kit" in entry else ""
    return (
        str(number),
        entry["time"],
        entry["kind"],
        (token.get("serial") or "") + (" (virtual)" if token.get("virtual") else ""),
        str(holder.get("name", "(erased)" if holder else "")),
        kit,
        entry.get("profile", {}).get("name", ""),
        entry["operator"],
    )


def _print_entry(log: Manifest, number: int, entry: Entry) -> None:
    merged = {**entry, **_named(log, entry)}
    print_table(
        ("entry", str(number)),
        [
            (name, facts_line(value))
            for name, value in merged.items()
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
