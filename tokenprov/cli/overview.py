"""`tokenprov overview`: what the station has in people's hands, and what needs somebody soon."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.home import Home
from tokenprov.lifecycle.overview import Kit, Overview
from tokenprov.lifecycle.overview import overview as look
from tokenprov.model import Json

_DAYS = 30


@click.command()
@click.option(
    "--within",
    type=click.IntRange(0),
    default=_DAYS,
    show_default=True,
    help="Days in which a certificate or a holder's time ends.",
)
@as_json
@click.pass_obj
def overview(home_path: Path, within: int, as_json: bool) -> None:
    """How many tokens stand where, and what needs somebody soon.

    Certificates that end, holders who leave or have no spare, what is left in stock, batches and
    commands that are not finished. No token and no key is needed.
    """
    home = Home.open(home_path)
    seen = look(home, timedelta(days=within))
    if as_json:
        print_json(_document(seen))
    else:
        _print(home.name, seen)


def _document(seen: Overview) -> dict[str, Json]:
    return {
        "until": seen.until.isoformat(),
        "tokens": {str(state): number for state, number in sorted(seen.tokens.items())},
        "stock": seen.stock,
        "withoutSpare": [_kit(one) for one in seen.without_spare],
        "leaving": [{**_kit(one), "lastDay": _last_day(one)} for one in seen.leaving],
        "certificates": [
            {
                "serial": one.token.label,
                "holder": one.token.holder.id,
                "step": one.step,
                "ends": one.ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for one in seen.certificates
        ],
        "batches": [
            {
                "batch": one.batch.id,
                "profile": one.batch.profile_name,
                "left": one.left,
                "failed": one.failed,
            }
            for one in seen.batches
        ],
        "unfinished": [
            {
                "serial": one.label,
                "command": str(one.kind),
                "began": one.began.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "reason": one.reason,
            }
            for one in seen.unfinished
        ],
    }


def _kit(one: Kit) -> dict[str, Json]:
    return {
        "holder": one.id,
        "name": one.holder.name if one.holder else None,
        "serials": list(one.labels),
    }


def _last_day(one: Kit) -> str:
    assert one.holder is not None, "who leaves is known"
    return str(one.holder.last_day)


def _print(station: str, seen: Overview) -> None:
    counted = ", ".join(f"{number} {state}" for state, number in sorted(seen.tokens.items()))
    click.echo(f"{station}: tokens: {counted or 'none was issued'}")
    if seen.stock is not None:
        click.echo(f"in stock, and free: {seen.stock}")
    _table(
        "Without a spare",
        ("holder", "name", "token"),
        [(one.id, _name(one), ", ".join(one.labels)) for one in seen.without_spare],
    )
    _table(
        f"Last day until {seen.until}: tokenprov holder leave",
        ("last day", "holder", "name", "tokens"),
        [(_last_day(one), one.id, _name(one), ", ".join(one.labels)) for one in seen.leaving],
    )
    _table(
        f"Certificates that end until {seen.until}: tokenprov renew",
        ("ends", "serial", "holder", "certificate"),
        [
            (f"{one.ends:%Y-%m-%d}", one.token.label, one.token.holder.name, one.step)
            for one in seen.certificates
        ],
    )
    _table(
        "Batches that are not done: tokenprov batch run",
        ("batch", "profile", "left", "of them failed"),
        [
            (one.batch.id, one.batch.profile_name, str(one.left), str(one.failed))
            for one in seen.batches
        ],
    )
    _table(
        "Begun and not finished: the same command goes on",
        ("command", "serial", "since", "reason"),
        [
            (str(one.kind), one.label, f"{one.began:%Y-%m-%d}", one.reason)
            for one in seen.unfinished
        ],
    )


def _name(one: Kit) -> str:
    return one.holder.name if one.holder else "erased"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        click.echo(f"\n{title}")
        print_table(columns, rows)
