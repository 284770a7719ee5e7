"""Judging a manifest's folder: everything is read, and every fault is named.

    rule           what does not hold
    verifier-key   manifest.vkey is a verifier key, and the one that signs; a given one has signed
    note           the checkpoint is a signed note
    signature      signed by that key
    epoch          a key that is held leads to it; see `key_change`
    keys           the root's list has the keys that signed; see `key_list`
    checkpoint     its text is a checkpoint
    origin         of the log that the key is named after
    missing        a file that must be there
    tile           a tile, bundle or partial one is what the entries make it
    entry          an entry hashes to what the tree has for it
    root           the entries have the root that was signed
    canonical      an entry is RFC 8785 JSON
    kind, schema   of a kind and shape that this program knows
    first-entry, station, order, binding, state, wipe, waiver, batch, erased, key, person, time
                   an entry can follow those before it; see `history`
    approval       what was approved is what was done, by people who could; see `approval`
    cosigned       an earlier checkpoint that is kept is one of this log
    attestation    the makers vouch for what an entry says of a token; see `attested`
    timestamp      a time stamp is over the checkpoint of that size; see `timestamp`
    quorum         enough witnesses cosigned the checkpoint
    pin, rollback, fork    the log continues what this auditor saw before; see `pin`
    blob           a blob is what its name says
    opening        an opening opens the commitment that it is named after
    stray          a file that nothing refers to
    pending        an append is going on, or was cut off

Nothing is written, nothing is fetched. A missing opening is no fault: identities may be erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenprov.errors import ManifestError
from tokenprov.record.approval import judge_approvals
from tokenprov.record.attested import judge_attestations
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import Entry, Kind, blobs_of, commitment_of, decode_entry
from tokenprov.record.folder import CHECKPOINT, ManifestFolder, blob_path
from tokenprov.record.head import Head, Held
from tokenprov.record.history import History
from tokenprov.record.key_change import CHANGES
from tokenprov.record.memory import MemoryOfLog, Names
from tokenprov.record.presence import Presence
from tokenprov.record.tlog import (
    HASH_SIZE,
    TILE_WIDTH,
    RightEdge,
    Tile,
    bundle_path,
    leaf_hash,
    split_hashes,
    tile_width,
    unpack_bundle,
)
from tokenprov.record.verdict import FINISH, Findings, VerifyFinding, VerifyReport
from tokenprov.record.verifier_key import VerifierKey

__all__ = ["Held", "VerifyFinding", "VerifyReport", "verify_manifest", "verify_with_memory"]


NOTHING = Held()


def verify_manifest(
    folder: Path,
    vkey: VerifierKey | str | None = None,
    held: Held = NOTHING,
) -> VerifyReport:
    """Judge the folder by what an auditor holds: by one verifier key, or by all of `held`.

    Without a key, the one that lies in the folder proves only that the folder is whole; where a
    key came from is for the caller to know. Raises ManifestError where `vkey` is none.
    """
    if vkey is not None:
        held = Held(keys=(VerifierKey.parse(vkey) if isinstance(vkey, str) else vkey,))
    return _Verification(folder, held).run()


def verify_with_memory(folder: Path, held: Held) -> tuple[VerifyReport, MemoryOfLog]:
    """The same, and what the entries say of tokens."""
    verification = _Verification(folder, held)
    return verification.run(), verification.memory


class _Verification:
    def __init__(self, folder: Path, held: Held) -> None:
        self._folder = ManifestFolder(folder)
        self._findings = Findings()
        self._anchors = held.anchors
        self._head = Head(self._folder, self._findings, held)
        self.memory = MemoryOfLog()
        self._history = History(self.memory)
        self._blobs = Names()
        self._commitments = Names()
        self._erased: set[str] = set()
        self._gone: set[str] = set()  # blobs that an erasure took
        self._absent: dict[str, tuple[int, ManifestError]] = {}
        self._issued = 0
        self._virtual = 0
        self._whole = False  # the entries have the root that was signed
        self._unread = False  # an entry could not be read: what it refers to is not known

    def run(self) -> VerifyReport:
        head = self._head.read()
        openings = 0
        if head is not None:
            self._tree(head)
            self._head.check(head, whole=self._whole)
            self._blobs_gone()
            presence = Presence(
                self._folder,
                self._findings,
                size=head.size,
                blobs=self._blobs,
                commitments=self._commitments,
                erased=self._erased,
                unread=self._unread,
            )
            presence.check()
            openings = presence.openings
        return VerifyReport(
            origin=head.origin if head else "",
            size=head.size if head else 0,
            root=head.root.hex() if head else "",
            station=self._history.station,
            issued=self._issued,
            virtual=self._virtual,
            identities=len(self._commitments),
            openings=openings,
            findings=tuple(self._findings.all),
            stamps=tuple(self._head.stamps),
        )

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
            for full, data in edge.extend(leaves).items():
                if full.level and self._tile(full) not in (None, split_hashes(data)):
                    wrong_above.append(full)
            self._entries(first, tile.width, bundle, name, set(differing))
        for partial, data in edge.partial().items():
            if partial.level and self._tile(partial) not in (None, split_hashes(data)):
                wrong_above.append(partial)
        self._whole = edge.root() == head.root
        self._blame(wrong, wrong_above)

    def _blame(self, wrong: Sequence[tuple[int, str, Tile]], above: Sequence[Tile]) -> None:
        if self._whole:
            for index, _, tile in wrong:
                self._findings.add("tile", f"its hash of entry {index} was changed", file=tile.path)
        else:
            self._findings.add(
                "root", "the entries do not have the root that was signed", file=CHECKPOINT
            )
            for index, name, tile in wrong:
                self._findings.add(
                    "entry", f"it does not hash to what {tile.path} has", index=index, file=name
                )
        if self._whole or not wrong:
            for tile in above:
                self._findings.add(
                    "tile", "its hashes are not those of the tiles below", file=tile.path
                )

    def _tile(self, tile: Tile) -> list[bytes] | None:
        try:
            data = self._folder.read(tile.path)
        except ManifestError as exc:
            self._findings.caught(exc, file=tile.path)
            return None
        if len(data) != tile.width * HASH_SIZE:
            self._findings.add("tile", f"not {tile.width} hashes long", file=tile.path)
            return None
        return split_hashes(data)

    def _bundle(self, name: str, width: int) -> list[bytes] | None:
        try:
            entries = unpack_bundle(self._folder.read(name))
        except ManifestError as exc:
            self._findings.caught(exc, file=name)
            return None
        if len(entries) != width:
            self._findings.add("tile", f"{len(entries)} entries and not {width}", file=name)
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
                    self._findings.caught(exc, index=index, file=name)
                continue
            try:
                self._history.add(entry)
                judge_approvals(index, entry, self._folder.blob, self._history.person)
            except ManifestError as exc:
                self._findings.caught(exc, index=index, file=name)
            self._attested(index, entry)
            self._refer(index, entry)

    def _attested(self, index: int, entry: Entry) -> None:
        if self._anchors is not None:
            try:
                judge_attestations(entry, self._folder.blob, self._anchors)
            except ManifestError as exc:
                self._findings.caught(exc, index=index)

    def _refer(self, index: int, entry: Entry) -> None:
        if entry["kind"] in CHANGES:
            self._head.change(index, entry)
        if entry["kind"] == Kind.ERASED:
            self._erased.add(entry["holder"]["commitment"])
            self._gone.update(entry.get("blobs", ()))
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
                self._absent[digest] = index, exc

    def _blobs_gone(self) -> None:
        """Blobs that are not there or not right, but for those that an erasure took."""
        for digest, (index, exc) in self._absent.items():
            if digest not in self._gone or exc.rule != "missing":
                self._findings.caught(exc, index=index, file=blob_path(digest))
        for digest in sorted(self._gone - self._absent.keys()):
            self._findings.add(
                "erased", "it was erased, and is here", file=blob_path(digest), remedy=FINISH
            )
