"""What an append adds to a manifest's folder: blobs and openings, tiles and bundles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenprov.errors import ManifestError
from tokenprov.record.entry import Entry, blobs_of, commitment_of
from tokenprov.record.files import NewFile
from tokenprov.record.folder import blob_path, opening_path
from tokenprov.record.opening import Opening
from tokenprov.record.tlog import TILE_WIDTH, RightEdge, bundle_path, leaf_hash, pack_bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """An entry with the blobs it names and the opening of its holder."""

    entry: Entry
    blobs: Sequence[bytes] = ()
    opening: Opening | None = None


def evidence_of(folder: Path, additions: Sequence[Addition]) -> Iterator[NewFile]:
    """The blobs and openings that are not there yet, once each."""
    seen: set[str] = set()
    for addition in additions:
        given = {hashlib.sha256(blob).hexdigest(): blob for blob in addition.blobs}
        named = set(blobs_of(addition.entry))
        missing = {d for d in named - given.keys() if not _holds(folder, blob_path(d))}
        if missing or given.keys() - named:
            raise _refused(
                "blob",
                f"blobs named and missing: {sorted(missing)}; "
                f"given and not named: {sorted(given.keys() - named)}",
                "Report this: it is an error in the program.",
            )
        new = [(blob_path(digest), data, 0o644) for digest, data in sorted(given.items())]
        if addition.opening is not None:
            commitment = addition.opening.commitment
            if commitment != commitment_of(addition.entry):
                raise _refused(
                    "opening",
                    "the opening is not of this entry's holder",
                    "Report this: it is an error in the program.",
                )
            new.append((opening_path(commitment), addition.opening.to_bytes(), 0o600))
        for name, data, mode in new:
            if name not in seen and not _holds(folder, name, data):
                seen.add(name)
                yield NewFile(path=folder / name, data=data, mode=mode)


def _holds(folder: Path, name: str, data: bytes | None = None) -> bool:
    try:
        found = (folder / name).read_bytes()
    except FileNotFoundError:
        return False
    return data is None or found == data


def grown(
    before: RightEdge, started: Sequence[bytes], encoded: Sequence[bytes]
) -> tuple[RightEdge, list[bytes], dict[str, bytes]]:
    """The tree and its last bundle after these entries, and the files that are new or wider."""
    edge, bundle = before.copy(), list(started)
    there = set(edge.partial())
    bundles: dict[str, bytes] = {}
    tiles = edge.extend(map(leaf_hash, encoded))
    for size, data in enumerate(encoded, start=before.size + 1):
        bundle.append(data)
        if len(bundle) == TILE_WIDTH:
            bundles[bundle_path(size // TILE_WIDTH - 1, TILE_WIDTH)] = pack_bundle(bundle)
            bundle.clear()
    tiles |= {tile: data for tile, data in edge.partial().items() if tile not in there}
    if bundle:
        name = bundle_path(edge.size // TILE_WIDTH, len(bundle))
        bundles[name] = pack_bundle(bundle)
    return edge, bundle, {**{tile.path: data for tile, data in tiles.items()}, **bundles}


def _refused(rule: str, what: str, remedy: str) -> ManifestError:
    return ManifestError(f"manifest: {what}", remedy=remedy, rule=rule)
