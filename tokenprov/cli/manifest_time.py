"""`tokenprov manifest timestamp`: when the manifest had so many entries, by an authority's word;
`manifest clock`: that the station's own clock was ahead.
"""

from __future__ import annotations

from pathlib import Path

import click

from tokenprov.cli import entries
from tokenprov.cli.custodians import recorded
from tokenprov.cli.known_keys import load_roots, tsa_root
from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.record.canonical import timestamp as timestamp_of
from tokenprov.record.entry import Kind, entry_head
from tokenprov.record.files import discard, make_folder, write_durable
from tokenprov.record.folder import ManifestFolder, stamp_path
from tokenprov.record.lock import StationLock
from tokenprov.record.manifest import Manifest

SECONDS = 30.0  # for the authority to answer
LIMIT = 1_000_000  # bytes of an answer
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"  # RFC 3161, 3.4


@click.command()
@click.option("--tsa", "url", required=True, help="The authority's address, http or https.")
@tsa_root
@click.pass_obj
def timestamp(home: Path, url: str, roots: tuple[Path, ...]) -> None:
    """Have a time-stamp authority (RFC 3161) vouch for the checkpoint as it is now.

    The authority learns the digest of the checkpoint's text, and nothing else.
    """
    trusted = load_roots(roots)
    if not trusted:
        raise InputError(
            "no root is given by which the stamp could be checked",
            remedy="Name the root certificate of the authority with --tsa-root.",
        )
    # Loaded for those who ask: it brings a parser of its own, and a client for the network.
    from tokenprov.record.timestamp import read_stamp, request_for

    folder = entries.folder(home, None)
    with StationLock(home):
        head = Manifest.open(folder).checkpoint
        request = request_for(head.text())
        answer = _asked(url, request.as_bytes())
        when = read_stamp(answer, head.text(), trusted, request)
        before = sum(size == head.size for size, _ in ManifestFolder(folder).stamped())
        path = folder / stamp_path(head.size, before + 1)
        make_folder(path.parent)
        for left in path.parent.glob(".*"):
            discard(left)  # of a stamp that was cut off
        write_durable(path, answer)
    click.echo(f"{path}: {head.size} entries by {when:%Y-%m-%dT%H:%M:%SZ}")


@click.command()
@recorded
@click.pass_obj
def clock(home_path: Path, reason: str, operator: str) -> None:
    """Record that the clock was ahead when earlier entries were made, and is right now."""
    home = Home.open(home_path)
    with home.working(behind=True):
        now, ahead = home.clock(), home.manifest.latest()
        if timestamp_of(now) >= ahead:
            raise InputError(
                f"the clock is not behind: the latest entry of the manifest is of {ahead}",
                remedy="Nothing is to be recorded.",
            )
        head = entry_head(Kind.CLOCK_CORRECTED, time=now, station=home.name, operator=operator)
        index = home.manifest.append({**head, "ahead": ahead, "reason": reason})
    click.echo(f"entry {index}: the clock was ahead, at {ahead}")


def _asked(url: str, request: bytes) -> bytes:
    import httpx

    remedy = "Check the address and the network, and run it again: nothing was recorded."
    try:
        answer = httpx.post(url, content=request, headers={"Content-Type": QUERY}, timeout=SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise InputError(f"{url} does not answer: {exc}", remedy=remedy) from exc
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if answer.status_code != httpx.codes.OK or kind != REPLY or len(answer.content) > LIMIT:
        raise InputError(
            f"{url} answers {answer.status_code} with {kind or 'nothing'}, and no time stamp",
            remedy=remedy,
        )
    return answer.content
