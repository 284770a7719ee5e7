"""Judging a manifest's folder: everything is read, and every fault is named.

    rule           what does not hold
    verifier-key   manifest.vkey is a verifier key, and the one that was given
    note           the checkpoint is a signed note
    signature      signed by that key
    checkpoint     its text is a checkpoint
    origin         of the log that the key is named after
    missing        a file that must be there
    tile           a tile, bundle or partial one is what the entries make it
    entry          an entry hashes to what the tree has for it
    root           the entries have the root that was signed
    canonical      an entry is RFC 8785 JSON
    kind, schema   of a kind and shape that this program knows
    first-entry, station, order, binding     see `history`
    blob           a blob is what its name says
    opening        an opening opens the commitment that it is named after
    stray          a file that nothing refers to
    pending        an append is going on, or was cut off

Nothing is written, nothing is fetched. A missing opening is no fault: identities may be erased.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.commit import read_pending
from tokenprov.record.entry import Entry, Kind, blobs_of, commitment_of, decode_entry
from tokenprov.record.files import temporary_of
from tokenprov.record.folder import (
    BLOB_PATH,
    CHECKPOINT,
    OPENING_PATH,
    PENDING,
    VERIFIER_KEY,
    ManifestFolder,
    blob_path,
)
from tokenprov.record.history import History
from tokenprov.record.note import VerifierKey, open_note, parse_note
from tokenprov.record.opening import Opening
from tokenprov.record.tlog import (
    HASH_SIZE,
    TILE_WIDTH,
    RightEdge,
    Tile,
    bundle_path,
    leaf_hash,
    parse_tile_path,
    split_hashes,
    tile_width,
    unpack_bundle,
)

_RESTORE = "Restore it from a copy of the folder, and keep this one as evidence."


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyFinding:
    """One thing that does not hold: `index` is the entry, `file` is below the folder."""

    rule: str
    what: str
    remedy: str
    index: int | None = None
    file: str = ""

    def __str__(self) -> str:
        place = [f"entry {self.index}"] if self.index is not None else []
        place += [self.file] if self.file else []
        return f"{self.rule}: {', '.join([*place, self.what])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was found: no finding, and everything holds."""

    origin: str
    size: int
    root: str  # hex
    station: str
    issued: int  # entries that issue a token
    virtual: int  # of these, by virtual tokens
    identities: int  # different holders
    openings: int  # of these, whose identity is held here
    findings: tuple[VerifyFinding, ...]

    @property
    def holds(self) -> bool:
        """Whether everything does."""
        return not self.findings


def verify_manifest(folder: Path, vkey: VerifierKey | str | None = None) -> VerifyReport:
    """Judge the folder by the given verifier key, or by the one that lies in it.

    The key that lies in the folder proves only that the folder is whole; where the key came from
    is for the caller to know. Raises ManifestError where `vkey` is none.
    """
    key = VerifierKey.parse(vkey) if isinstance(vkey, str) else vkey
    return _Verification(folder).run(key)


class _Verification:
    def __init__(self, folder: Path) -> None:
        self._folder = ManifestFolder(folder)
        self._findings: list[VerifyFinding] = []
        self._history = History()
        self._blobs: set[str] = set()
        self._commitments: set[str] = set()
        self._openings = 0
        self._issued = 0
        self._virtual = 0
        self._unread = False  # an entry could not be read: what it refers to is not known

    def run(self, given: VerifierKey | None) -> VerifyReport:
        head = self._head(self._key(given))
        if head is not None:
            self._tree(head)
            self._files(head.size)
        return VerifyReport(
            origin=head.origin if head else "",
            size=head.size if head else 0,
            root=head.root.hex() if head else "",
            station=self._history.station,
            issued=self._issued,
            virtual=self._virtual,
            identities=len(self._commitments),
            openings=self._openings,
            findings=tuple(self._findings),
        )

    # the head

    def _key(self, given: VerifierKey | None) -> VerifierKey | None:
        stored = None
        try:
            text = self._folder.read(VERIFIER_KEY).decode("utf-8", "replace")
            stored = VerifierKey.parse(text.removesuffix("\n"))
            if text != f"{stored}\n":
                self._find("verifier-key", "not one line", file=VERIFIER_KEY)
        except ManifestError as exc:
            self._catch(exc, file=VERIFIER_KEY)
        if given is not None and stored is not None and given != stored:
            self._find("verifier-key", "not the key that was given", file=VERIFIER_KEY)
        return given or stored

    def _head(self, key: VerifierKey | None) -> Checkpoint | None:
        try:
            data = self._folder.read(CHECKPOINT)
            note = parse_note(data)
            head = Checkpoint.parse(note.text)
        except ManifestError as exc:
            self._catch(exc, file=CHECKPOINT)
            return None
        try:
            if key is not None:
                open_note(data, [key])
        except ManifestError as exc:
            self._catch(exc, file=CHECKPOINT)
        if key is not None and key.name != head.origin:
            self._find("origin", f"of {head.origin}, not of {key.name}", file=CHECKPOINT)
        return head

    # the tree

    def _tree(self, head: Checkpoint) -> None:
        """Compute every hash from the entries, and compare every tile.

        Whose fault a difference is, the signed root tells: where the entries have it, the tile was
        changed, otherwise the entry.
        """
        edge = RightEdge()
        wrong: list[tuple[int, str, Tile]] = []  # entry, its bundle, its tile
        wrong_above: list[Tile] = []
        for number in range((head.size + TILE_WIDTH - 1) // TILE_WIDTH):
            tile = Tile(0, number, tile_width(head.size, 0, number))
            name = bundle_path(number, tile.width)
            stored = self._tile(tile)
            bundle = self._bundle(name, tile.width)
            if bundle is None and stored is None:
                self._unread = True
                return
            leaves = stored if bundle is None else list(map(leaf_hash, bundle))
            assert leaves is not None
            first = number * TILE_WIDTH
            differing: list[int] = []
            if stored is not None and leaves != stored:
                differing = [first + i for i, leaf in enumerate(leaves) if leaf != stored[i]]
                wrong += [(index, name, tile) for index in differing]
            for leaf in leaves:
                for full, data in edge.append(leaf).items():
                    if full.level and self._tile(full) not in (None, split_hashes(data)):
                        wrong_above.append(full)
            self._entries(first, tile.width, bundle, name, set(differing))
        for partial, data in edge.partial().items():
            if partial.level and self._tile(partial) not in (None, split_hashes(data)):
                wrong_above.append(partial)
        self._blame(edge.root() == head.root, wrong, wrong_above)

    def _blame(
        self, root_holds: bool, wrong: Sequence[tuple[int, str, Tile]], above: Sequence[Tile]
    ) -> None:
        if root_holds:
            for index, _, tile in wrong:
                self._find("tile", f"its hash of entry {index} was changed", file=tile.path)
        else:
            self._find("root", "the entries do not have the root that was signed", file=CHECKPOINT)
            for index, name, tile in wrong:
                self._find(
                    "entry", f"it does not hash to what {tile.path} has", index=index, file=name
                )
        if root_holds or not wrong:
            for tile in above:
                self._find("tile", "its hashes are not those of the tiles below", file=tile.path)

    def _tile(self, tile: Tile) -> list[bytes] | None:
        try:
            data = self._folder.read(tile.path)
        except ManifestError as exc:
            self._catch(exc, file=tile.path)
            return None
        if len(data) != tile.width * HASH_SIZE:
            self._find("tile", f"not {tile.width} hashes long", file=tile.path)
            return None
        return split_hashes(data)

    def _bundle(self, name: str, width: int) -> list[bytes] | None:
        try:
            entries = unpack_bundle(self._folder.read(name))
        except ManifestError as exc:
            self._catch(exc, file=name)
            return None
        if len(entries) != width:
            self._find("tile", f"{len(entries)} entries and not {width}", file=name)
            return None
        return entries

    # the entries

    def _entries(
        self, first: int, width: int, bundle: list[bytes] | None, name: str, suspects: set[int]
    ) -> None:
        if bundle is None:
            self._unread = True
            for _ in range(width):
                self._history.skip()
            return
        for index, data in enumerate(bundle, start=first):
            try:
                entry = decode_entry(data)
            except ManifestError as exc:
                self._unread = True
                self._history.skip()
                if index not in suspects:  # those are named for their hash
                    self._catch(exc, index=index, file=name)
                continue
            try:
                self._history.add(entry)
            except ManifestError as exc:
                self._catch(exc, index=index, file=name)
            self._refer(index, entry)

    def _refer(self, index: int, entry: Entry) -> None:
        if entry["kind"] == Kind.ISSUED:
            self._issued += 1
            self._virtual += entry["token"]["virtual"]
        commitment = commitment_of(entry)
        if commitment is not None:
            self._commitments.add(commitment)
        for digest in blobs_of(entry):
            if digest in self._blobs:
                continue
            self._blobs.add(digest)
            try:
                self._folder.blob(digest)
            except ManifestError as exc:
                self._catch(exc, index=index, file=blob_path(digest))

    # the files

    def _files(self, size: int) -> None:
        pending = self._folder.path / PENDING
        leftover = temporary_of(self._folder.path / CHECKPOINT)
        coming: set[str] = set()
        if os.path.lexists(pending) or os.path.lexists(leftover):
            coming = set(read_pending(self._folder.path)[1])
            self._find(
                "pending",
                "an append is going on, or was cut off",
                file=PENDING if os.path.lexists(pending) else leftover.name,
                remedy="Wait for the station to finish, or run its command again; then verify.",
            )
        known = {CHECKPOINT, VERIFIER_KEY, PENDING, leftover.name}
        for name, is_file in self._walk():
            tile = parse_tile_path(name)
            if not is_file:
                self._find("stray", "not an ordinary file", file=name, remedy=_STRAY)
            elif name in known:
                continue
            elif tile is not None and tile.width <= tile_width(
                size, max(tile.level, 0), tile.number
            ):
                self._partial(name, tile, size)
            elif OPENING_PATH.fullmatch(name):
                self._opening(name)
            elif BLOB_PATH.fullmatch(name) and name.rpartition("/")[2] in self._blobs:
                continue
            elif name not in coming and not self._is_orphan(name):
                self._find("stray", "no entry refers to it", file=name, remedy=_STRAY)

    def _walk(self) -> Iterator[tuple[str, bool]]:
        for top, folders, names in os.walk(self._folder.path):
            folders.sort()
            for name in sorted(names + [f for f in folders if os.path.islink(f"{top}/{f}")]):
                path = Path(top, name)
                ordinary = path.is_file() and not path.is_symlink()
                yield str(path.relative_to(self._folder.path)), ordinary

    def _partial(self, name: str, tile: Tile, size: int) -> None:
        """A partial tile of an earlier size is the beginning of the present one."""
        level = max(tile.level, 0)
        width = tile_width(size, level, tile.number)
        if tile.width == width:
            return  # it was compared with the entries
        present = (
            bundle_path(tile.number, width)
            if tile.level < 0
            else Tile(tile.level, tile.number, width).path
        )
        try:
            data = self._folder.read(name)
            whole = self._folder.read(present)
            if tile.level < 0:
                entries = unpack_bundle(data)
                fits = len(entries) == tile.width and entries == unpack_bundle(whole)[: tile.width]
            else:
                fits = len(data) == tile.width * HASH_SIZE and whole.startswith(data)
        except ManifestError:
            fits = False
        if not fits:
            self._find("tile", f"not the beginning of {present}", file=name)

    def _opening(self, name: str) -> None:
        commitment = name.removeprefix("openings/").removesuffix(".json")
        try:
            opening = Opening.parse(self._folder.read(name))
        except ManifestError as exc:
            self._catch(exc, file=name)
            return
        if opening.commitment != commitment:
            self._find("opening", "it opens another commitment", file=name)
        elif commitment in self._commitments:
            self._openings += 1
        elif not self._unread:
            self._find("stray", "no entry refers to it", file=name, remedy=_STRAY)

    def _is_orphan(self, name: str) -> bool:
        """A blob that is what its name says, and may belong to an entry that could not be read."""
        match = BLOB_PATH.fullmatch(name)
        if not match or not self._unread:
            return False
        return hashlib.sha256(self._folder.read(name)).hexdigest() == match[2]

    def _find(
        self,
        rule: str,
        what: str,
        *,
        index: int | None = None,
        file: str = "",
        remedy: str = _RESTORE,
    ) -> None:
        self._findings.append(
            VerifyFinding(rule=rule, what=what, remedy=remedy, index=index, file=file)
        )

    def _catch(self, exc: ManifestError, *, index: int | None = None, file: str = "") -> None:
        self._find(exc.rule, exc.message, index=index, file=file, remedy=exc.remedy)


_STRAY = "Find out who put it there; the manifest itself does not need it."
