"""Every file in a manifest's folder accounted for: referred to by an entry, or named as a stray.

A partial tile of an earlier size may be there (https://c2sp.org/tlog-tiles, Partial Tiles), and is
then the beginning of the present tile. Files that a cut-off append left are named once, by its
`pending`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Container, Iterator

from tokenprov.errors import ManifestError
from tokenprov.record.commit import read_pending
from tokenprov.record.files import temporary_of
from tokenprov.record.folder import (
    BLOB_PATH,
    CHECKPOINT,
    COSIGNED_PATH,
    OPENING_PATH,
    PENDING,
    STAMP_PATH,
    VERIFIER_KEY,
    ManifestFolder,
)
from tokenprov.record.key_list import KEY_LIST
from tokenprov.record.opening import Opening
from tokenprov.record.tlog import (
    HASH_SIZE,
    Tile,
    bundle_path,
    parse_tile_path,
    tile_width,
    unpack_bundle,
)
from tokenprov.record.verdict import FINISH, STRAY, Findings


class Presence:
    """Goes through the files of a log of `size` entries that refer to `blobs` and `commitments`.

    `unread` says that an entry could not be read, so that what it refers to is not known.
    """

    def __init__(
        self,
        folder: ManifestFolder,
        findings: Findings,
        *,
        size: int,
        blobs: Container[str],
        commitments: Container[str],
        erased: Container[str],
        unread: bool,
    ) -> None:
        self.openings = 0  # those that open a commitment of the log
        self._folder = folder
        self._findings = findings
        self._size = size
        self._blobs = blobs
        self._commitments = commitments
        self._erased = erased
        self._unread = unread

    def check(self) -> None:
        """Read what is not read yet, and name what is too much."""
        pending = self._folder.path / PENDING
        leftover = temporary_of(self._folder.path / CHECKPOINT)
        coming: set[str] = set()
        if os.path.lexists(pending) or os.path.lexists(leftover):
            coming = set(read_pending(self._folder.path).files)
            self._findings.add(
                "pending",
                "an append is going on, or was cut off",
                file=PENDING if os.path.lexists(pending) else leftover.name,
                remedy="Wait for the station to finish, or run its command again; then verify.",
            )
        known = {CHECKPOINT, VERIFIER_KEY, KEY_LIST, PENDING, leftover.name}
        for name, is_file in self._walk():
            if not is_file:
                self._findings.add("stray", "not an ordinary file", file=name, remedy=STRAY)
            elif name not in known and name not in coming and not self._belongs(name):
                self._findings.add("stray", "no entry refers to it", file=name, remedy=STRAY)

    def _walk(self) -> Iterator[tuple[str, bool]]:
        root = f"{self._folder.path}/"
        for top, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names + [f for f in folders if os.path.islink(f"{top}/{f}")]):
                path = os.path.join(top, name)
                yield path.removeprefix(root), stat.S_ISREG(os.lstat(path).st_mode)

    def _belongs(self, name: str) -> bool:
        """Whether the log accounts for the file; one that does and was changed is named."""
        tile = parse_tile_path(name)
        if tile is not None:
            width = tile_width(self._size, max(tile.level, 0), tile.number)
            if tile.width < width:
                self._partial(name, tile, width)
            return tile.width <= width  # the present one was compared with the entries
        cosigned = COSIGNED_PATH.fullmatch(name)
        if cosigned:
            return int(cosigned[1]) < self._size  # `head` has judged it
        stamp = STAMP_PATH.fullmatch(name)
        if stamp:
            return int(stamp[1]) <= self._size
        opening = OPENING_PATH.fullmatch(name)
        if opening:
            return self._opening(name, opening[1])
        blob = BLOB_PATH.fullmatch(name)
        return bool(blob) and (name.rpartition("/")[2] in self._blobs or self._is_orphan(name))

    def _partial(self, name: str, tile: Tile, width: int) -> None:
        """A partial tile of an earlier size is the beginning of the present one."""
        present = (
            bundle_path(tile.number, width)
            if tile.level < 0
            else Tile(tile.level, tile.number, width).path
        )
        if any(finding.file == present for finding in self._findings.all):
            return  # which of the two was changed shows when the present one is restored
        try:
            data = self._folder.read(name)
            whole = self._folder.read(present)
            held = len(unpack_bundle(data)) if tile.level < 0 else len(data) / HASH_SIZE
            fits = held == tile.width and whole.startswith(data)
        except ManifestError:
            fits = False
        if not fits:
            self._findings.add("tile", f"not the beginning of {present}", file=name)

    def _opening(self, name: str, commitment: str) -> bool:
        try:
            opening = Opening.parse(self._folder.read(name))
        except ManifestError as exc:
            self._findings.caught(exc, file=name)
            return True
        if opening.commitment != commitment:
            self._findings.add("opening", "it opens another commitment", file=name)
        elif commitment in self._erased:
            self._findings.add(
                "erased",
                "an entry says that this identity was erased, and here it is",
                file=name,
                remedy=FINISH,
            )
        elif commitment in self._commitments:
            self.openings += 1
        else:
            return self._unread
        return True

    def _is_orphan(self, name: str) -> bool:
        """A blob that is what its name says, and may belong to an entry that could not be read."""
        if not self._unread:
            return False
        return hashlib.sha256(self._folder.read(name)).hexdigest() == name.rpartition("/")[2]
