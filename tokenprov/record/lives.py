"""What a manifest has of one token, by its serial or by the mark that stands for one."""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.record.entry import Entry
from tokenprov.record.manifest import Manifest


def entries_of(manifest: Manifest, named: str, maker: str = "") -> Iterator[tuple[int, Entry]]:
    """The entries about the token that is named so, each with its number, the last one first.

    Not those in which it takes another one's place. `maker` is given where it is known.
    """
    for index in reversed(manifest.found_by(f"serial {named}")) if named else ():
        entry = manifest.entry(index)
        there = entry.get("token", {})
        if named == (there.get("serial") or there.get("mark")) and (
            maker in ("", there.get("maker"))
        ):
            yield index, entry
