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
    first-entry, station, order, binding, state, wipe, waiver, batch, erased, key, person
                   an entry can follow those before it; see `history`
    approval       what was approved is what was done, by people who could; see `approval`
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
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import Entry, Kind, blobs_of, commitment_of, decode_entry
from tokenprov.record.folder import CHECKPOINT, VERIFIER_KEY, ManifestFolder, blob_path
from tokenprov.record.history import History
from tokenprov.record.memory import MemoryOfLog, Names
from tokenprov.record.note import open_note, parse_note
from tokenprov.record.pin import check_pin
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

__all__ = ["VerifyFinding", "VerifyReport", "verify_manifest", "verify_with_memory"]


def verify_manifest(
    folder: Path,
    vkey: VerifierKey | str | None = None,
    *,
    pin: bytes | None = None,
    witnesses: Sequence[VerifierKey] = (),
    quorum: int = 0,
) -> VerifyReport:
    """Judge the folder by the given verifier key, or by the one that lies in it.

    The key that lies in the folder proves only that the folder is whole; where the key came from
    is for the caller to know. `pin` is the checkpoint that this auditor saw last, and `quorum` how
    many of `witnesses` must have cosigned this one. Raises ManifestError where `vkey` is none.
    """
    key = VerifierKey.parse(vkey) if isinstance(vkey, str) else vkey
    return _Verification(folder, witnesses, quorum).run(key, pin)


def verify_with_memory(
    folder: Path, key: VerifierKey | None = None
) -> tuple[VerifyReport, MemoryOfLog]:
    """The same, and what the entries say of tokens."""
    verification = _Verification(folder)
    return verification.run(key, None), verification.memory


class _Verification:
    def __init__(
        self, folder: Path, witnesses: Sequence[VerifierKey] = (), quorum: int = 0
    ) -> None:
        self._witnesses = witnesses
        self._quorum = quorum
        self._folder = ManifestFolder(folder)
        self._findings = Findings()
        self.memory = MemoryOfLog()
        self._history = History(self.memory)
        self._blobs = Names()
        self._commitments = Names()
        self._erased: set[str] = set()
        self._gone: set[str] = set()  # blobs that an erasure took
        self._absent: dict[str, tuple[int, ManifestError]] = {}
        self._issued = 0
        self._virtual = 0
        self._unread = False  # an entry could not be read: what it refers to is not known

    def run(self, given: VerifierKey | None, pin: bytes | None) -> VerifyReport:
        key = self._key(given)
        head = self._head(key)
        openings = 0
        if head is not None:
            self._tree(head)
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
            if pin is not None and key is not None:
                self._continue(pin, head, key)
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
        )

    # the head

    def _key(self, given: VerifierKey | None) -> VerifierKey | None:
        stored = None
        try:
            text = self._folder.read(VERIFIER_KEY).decode("utf-8", "replace")
            stored = VerifierKey.parse(text.removesuffix("\n"))
            if text != f"{stored}\n":
                self._findings.add("verifier-key", "not one line", file=VERIFIER_KEY)
        except ManifestError as exc:
            self._findings.caught(exc, file=VERIFIER_KEY)
        if given is not None and stored is not None and given != stored:
            self._findings.add("verifier-key", "not the key that was given", file=VERIFIER_KEY)
        return given or stored

    def _head(self, key: VerifierKey | None) -> Checkpoint | None:
        try:
            data = self._folder.read(CHECKPOINT)
            note = parse_note(data)
            head = Checkpoint.parse(note.text)
        except ManifestError as exc:
            self._findings.caught(exc, file=CHECKPOINT)
            return None
        try:
            if key is not None:
                open_note(data, [key])
                self._cosigned(data)
        except ManifestError as exc:
            self._findings.caught(exc, file=CHECKPOINT)
        if key is not None and key.name != head.origin:
            self._findings.add("origin", f"of {head.origin}, not of {key.name}", file=CHECKPOINT)
        return head

    def _continue(self, pin: bytes, head: Checkpoint, key: VerifierKey) -> None:
        try:
            check_pin(pin, self._folder, head, key)
        except ManifestError as exc:
            self._findings.caught(exc)

    def _cosigned(self, data: bytes) -> None:
        if not self._quorum:
            return
        try:
            count = len(open_note(data, self._witnesses).signatures)
        except ManifestError as exc:
            count = 0
            if "does not verify" in exc.message:
                raise
        if count < self._quorum:
            self._findings.add(
                "quorum",
                f"cosigned by {count} of these witnesses; {self._quorum} are asked for",
                file=CHECKPOINT,
                remedy="Have the witnesses cosign it; where one refuses, ask it why.",
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
        self._blame(edge.root() == head.root, wrong, wrong_above)

    def _blame(
        self, root_holds: bool, wrong: Sequence[tuple[int, str, Tile]], above: Sequence[Tile]
    ) -> None:
        if root_holds:
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
        if root_holds or not wrong:
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
            self._refer(index, entry)

    def _refer(self, index: int, entry: Entry) -> None:
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
