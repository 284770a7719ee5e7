"""The manifest's folder, read: where everything lies in it.

    checkpoint                     signed note
    manifest.vkey                  verifier key, one line
    tile/<L>/<N>[.p/<W>]           hash tiles
    tile/entries/<N>[.p/<W>]       entry bundles
    blobs/sha256/<2 hex>/<hex>     certificates, attestations, envelopes
    openings/<commitment>.json     salt and holder
    cosigned/<size>                an earlier checkpoint that others cosigned
    timestamps/<size>-<n>.tsr      time stamps on checkpoints
    pending                        only while an entry is being appended

Nothing here is verified beyond what it takes to read it; see `verify`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from tokenprov.errors import ManifestError
from tokenprov.record.opening import Opening
from tokenprov.record.tlog import (
    HASH_SIZE,
    TILE_WIDTH,
    Tile,
    bundle_path,
    tile_width,
    unpack_bundle,
)

CHECKPOINT = "checkpoint"
VERIFIER_KEY = "manifest.vkey"
PENDING = "pending"

BLOB_PATH = re.compile(r"blobs/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})", re.ASCII)
OPENING_PATH = re.compile(r"openings/([0-9a-f]{64})\.json", re.ASCII)


COSIGNED_PATH = re.compile(r"cosigned/(0|[1-9][0-9]{0,18})", re.ASCII)


STAMP_PATH = re.compile(r"timestamps/(0|[1-9][0-9]{0,18})-([1-9][0-9]{0,5})\.tsr", re.ASCII)


def blob_path(digest: str) -> str:
    """The file of a blob below the folder."""
    return f"blobs/sha256/{digest[:2]}/{digest}"


def opening_path(commitment: str) -> str:
    """The file of an opening below the folder."""
    return f"openings/{commitment}.json"


def cosigned_path(size: int) -> str:
    """The file of an earlier checkpoint that others cosigned, below the folder."""
    return f"cosigned/{size}"


def stamp_path(size: int, number: int) -> str:
    """The file of a time stamp, one of several on the same checkpoint, below the folder."""
    return f"timestamps/{size}-{number}.tsr"


class ManifestFolder:
    """Reads by name; every method raises ManifestError (rule `missing` or `tile`)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes:
        """A file below the folder."""
        try:
            return (self.path / name).read_bytes()
        except OSError as exc:
            raise ManifestError(
                f"{name} cannot be read: {exc.strerror}",
                remedy="Restore it from a copy of the folder.",
                rule="missing",
            ) from exc

    def hashes(self, level: int, number: int, width: int) -> bytes:
        """`width` hashes of a tile, from the file of that width or from the full one."""
        tile = Tile(level, number, width)
        full = Tile(level, number, TILE_WIDTH)
        data = self.read(tile.path if self._is_there(tile.path) else full.path)
        if len(data) < width * HASH_SIZE or len(data) % HASH_SIZE:
            raise _short(tile.path)
        return data[: width * HASH_SIZE]

    def bundle(self, number: int, width: int) -> list[bytes]:
        """`width` entries of a bundle, from the file of that width or from the full one."""
        name = bundle_path(number, width)
        data = self.read(name if self._is_there(name) else bundle_path(number, TILE_WIDTH))
        entries = unpack_bundle(data)
        if len(entries) < width:
            raise _short(name)
        return entries[:width]

    def entries(self, start: int, size: int) -> Iterator[bytes]:
        """The entries of a log of `size` from `start` on, a bundle in memory at a time."""
        for number in range(start // TILE_WIDTH, (size + TILE_WIDTH - 1) // TILE_WIDTH):
            bundle = self.bundle(number, tile_width(size, 0, number))
            yield from bundle[max(start - number * TILE_WIDTH, 0) :]

    def blob(self, digest: str) -> bytes:
        """A blob, its digest checked."""
        data = self.read(blob_path(digest))
        if hashlib.sha256(data).hexdigest() != digest:
            raise ManifestError(
                f"{blob_path(digest)} was changed",
                remedy="Restore it from a copy of the folder.",
                rule="blob",
            )
        return data

    def opening(self, commitment: str) -> Opening | None:
        """The opening of a commitment, checked; None where it is not held, or was erased."""
        name = opening_path(commitment)
        if not self._is_there(name):
            return None
        opening = Opening.parse(self.read(name))
        if opening.commitment != commitment:
            raise ManifestError(
                f"{name} does not open its commitment",
                remedy="Restore it from a copy of the folder.",
                rule="opening",
            )
        return opening

    def cosigned(self) -> list[int]:
        """The sizes of the earlier checkpoints that are kept, the smallest first."""
        names = (f"cosigned/{path.name}" for path in (self.path / "cosigned").glob("*"))
        return sorted(int(found[1]) for name in names if (found := COSIGNED_PATH.fullmatch(name)))

    def stamped(self) -> list[tuple[int, str]]:
        """The sizes of checkpoints with time stamps, and the files, the smallest first."""
        names = (f"timestamps/{path.name}" for path in (self.path / "timestamps").glob("*"))
        found = ((STAMP_PATH.fullmatch(name), name) for name in names)
        return sorted((int(match[1]), name) for match, name in found if match)

    def _is_there(self, name: str) -> bool:
        return (self.path / name).exists()


def _short(name: str) -> ManifestError:
    return ManifestError(
        f"{name} is too short",
        remedy="Restore it from a copy of the folder.",
        rule="tile",
    )
