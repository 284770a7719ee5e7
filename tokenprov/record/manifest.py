"""The manifest: a station's signed, append-only record, one entry an event.

Rules:
- The checkpoint is the commit: an append that was cut off before it has not happened, and whoever
  opens the folder for writing next clears it away (`commit` has the order).
- Appending reads no entry and one tile a level; it costs five waits for the disk, however many
  blobs there are.
- A partial tile stays until its tile is full (https://c2sp.org/tlog-tiles, Partial Tiles).
- An entry that cannot follow those before it (`history`) is refused; what it takes to know that
  is kept beside the log (`index`), so that no entry is read for it.
- Whoever appends is alone with the folder for that moment (`manifest.lock` beside it): any number
  of processes and threads may, one after another, and each sees what the others added.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.commit import commit, key_in_use, settle
from tokenprov.record.entry import (
    Entry,
    Kind,
    decode_entry,
    encode_entry,
    validate_entry,
)
from tokenprov.record.files import NewFile, create_durable, destroy, make_folder, write_durable
from tokenprov.record.folder import (
    CHECKPOINT,
    PENDING,
    VERIFIER_KEY,
    ManifestFolder,
    blob_path,
    cosigned_path,
    opening_path,
)
from tokenprov.record.growth import Addition, evidence_of, grown
from tokenprov.record.history import LATEST, Life, token_name
from tokenprov.record.index import Index, index_path, names_in
from tokenprov.record.key_change import CHANGES
from tokenprov.record.lock import turn
from tokenprov.record.note import open_note, parse_note, sign_note
from tokenprov.record.opening import Opening, commit_holder
from tokenprov.record.people import Person, people_in
from tokenprov.record.proof import Prover
from tokenprov.record.signer import NoteSigner
from tokenprov.record.tlog import (
    EMPTY_ROOT,
    TILE_WIDTH,
    RightEdge,
    leaf_hash,
)
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.record.verify import VerifyFinding, VerifyReport, verify_manifest

__all__ = [
    "Addition",
    "Manifest",
    "Opening",
    "VerifyFinding",
    "VerifyReport",
    "commit_holder",
    "validate_entry",
    "verify_manifest",
]


class Manifest:
    """A manifest's folder, open for reading, and for appending where there is a signer."""

    def __init__(
        self,
        folder: Path,
        verifier: VerifierKey,
        signer: NoteSigner | None,
        *,
        alone: bool = True,
    ) -> None:
        self._folder = ManifestFolder(folder)
        self._verifier = verifier
        self._signer = signer
        self._lock = threading.RLock()
        self._checkpoint: Checkpoint
        self._edge: RightEdge
        self._bundle: list[bytes]
        self._note: bytes  # the checkpoint's file, as it was last seen
        self._index: Index | None = None
        self._depth = 0
        self._stale = True
        if alone:
            self.take_up()
        else:
            self._refresh(clear=False)
            self._stale = True

    @classmethod
    def create(cls, folder: Path, origin: str, signer: NoteSigner) -> Manifest:
        """An empty manifest, signed. A cut-off creation is taken up where it stopped.

        Raises ManifestError: there is one already, or the signer is not named after the origin.
        """
        if signer.verifier.name != origin:
            raise _refused(
                "origin",
                f"the signing key is named {signer.verifier.name}, and the log {origin}",
                "Name the key after the log (https://c2sp.org/tlog-checkpoint, Signatures).",
            )
        make_folder(folder)
        write_durable(folder / VERIFIER_KEY, f"{signer.verifier}\n".encode())
        empty = Checkpoint(origin=origin, size=0, root=EMPTY_ROOT)
        try:
            create_durable(folder / CHECKPOINT, sign_note(empty.text(), [signer]).to_bytes())
        except FileExistsError as exc:
            raise _refused(
                "exists", f"{folder} holds a manifest", "Open it, or choose another folder."
            ) from exc
        return cls(folder, signer.verifier, signer)

    @classmethod
    def open(
        cls, folder: Path, signer: NoteSigner | None = None, *, alone: bool = True
    ) -> Manifest:
        """The manifest in a folder; without a signer for reading, by the key that lies there.

        Not `alone`: another process may be appending now. Then nothing is waited for nor cleared
        away, and the head is read again by `take_up`, or by whatever needs it.

        Checks the checkpoint and the right edge of the tree, not the entries. Raises
        ManifestError.
        """
        if signer is not None:
            return cls(folder, signer.verifier, signer, alone=alone)
        return cls(folder, key_in_use(ManifestFolder(folder)), None)

    def take_up(self) -> None:
        """Read the head again and clear away what was cut off. Raises ManifestError."""
        self._stale = True
        with self.alone():
            if self._stale:  # for reading alone, nothing is cleared away
                self._refresh(clear=False)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._checkpoint.origin

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._checkpoint.size

    @property
    def checkpoint(self) -> Checkpoint:
        """The signed head."""
        return self._checkpoint

    def entry(self, index: int) -> Entry:
        """One entry. Raises IndexError, ManifestError."""
        if not 0 <= index < self.size:
            raise IndexError(f"entry {index} of {self.size}")
        return next(self.entries(index))

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """The entries from `start` on, as many as there are now. Raises ManifestError."""
        return map(decode_entry, self._folder.entries(start, self.size))

    def blob(self, digest: str) -> bytes:
        """A certificate, attestation or envelope by its SHA-256. Raises ManifestError."""
        return self._folder.blob(digest)

    def opening(self, commitment: str) -> Opening | None:
        """Who a commitment stands for; None where that was erased, or is held elsewhere."""
        return self._folder.opening(commitment)

    def held_openings(self) -> list[str]:
        """The commitments whose openings are held here."""
        found = (self._folder.path / "openings").glob("*.json")
        return sorted(path.stem for path in found)

    def erase_opening(self, commitment: str) -> None:
        """Forget who a commitment stands for; a second time is fine."""
        destroy(self._folder.path / opening_path(commitment))

    def erase_blob(self, digest: str) -> None:
        """Destroy a blob that an `erased` entry names; a second time is fine."""
        destroy(self._folder.path / blob_path(digest))

    def found_by(self, name: str) -> list[int]:
        """The entries that are found by a name as in `index.names_in`, the oldest first.

        From the index where the station keeps one, else from the entries.
        """
        if self._signer is not None:
            with self.alone():
                return self._caught_up().mentions(name)
        with self._lock:
            if self._index is None and index_path(self._folder.path).exists():
                self._index = Index(index_path(self._folder.path))
            if self._index is not None and self._index.is_at(self._checkpoint):
                return self._index.mentions(name)
        return [n for n, entry in enumerate(self.entries()) if name in names_in(entry)]

    def life(self, token: Mapping[str, object]) -> Life | None:
        """Where a token stands, which is named as in its entries. Raises ManifestError."""
        with self.alone():
            return self._caught_up().token(token_name(token))

    def latest(self) -> str:
        """The latest time of an entry, as entries have it. Raises ManifestError."""
        with self.alone():
            return self._caught_up().value(LATEST)

    def people(self) -> dict[str, Person]:
        """The people of the station by name; who was removed has no role."""
        return people_in(map(self.entry, self.found_by(f"kind {Kind.PERSON_CHANGED}")))

    def key_changes(self) -> list[tuple[int, Entry]]:
        """The entries that change the key that signs, each with its number (`key_change`)."""
        numbers = sorted(n for kind in CHANGES for n in self.found_by(f"kind {kind}"))
        return [(number, self.entry(number)) for number in numbers]

    def note(self) -> bytes:
        """The checkpoint as it stands in its file, with all its signatures."""
        return self._folder.read(CHECKPOINT)

    def cosigned(self) -> list[int]:
        """The sizes of the earlier checkpoints that others cosigned, the smallest first."""
        return self._folder.cosigned()

    def cosigned_note(self, size: int) -> bytes:
        """One of them. Raises ManifestError."""
        return self._folder.read(cosigned_path(size))

    def close(self) -> None:
        """Close the index; the manifest opens it again when it needs it."""
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    def prover(self) -> Prover:
        """Makes proofs for the tree as it is now."""
        return Prover(self.size, self._folder.hashes)

    def append(
        self, entry: Entry, blobs: Iterable[bytes] = (), opening: Opening | None = None
    ) -> int:
        """Add an entry; its index. Durable on return.

        Raises ManifestError (nothing is written): not a valid entry, a blob that it names is not
        given nor there, or one is given that it does not name; DurabilityError: it may or may not
        have been added, and the next call looks.
        """
        return self.append_many([Addition(entry=entry, blobs=tuple(blobs), opening=opening)])

    def append_many(self, additions: Sequence[Addition]) -> int:
        """Add entries under one checkpoint; the index of the first. As `append` otherwise."""
        if self._signer is None:
            raise _refused("signer", "opened for reading", "Open it with the signing key.")
        with self.alone():
            first = self.size
            encoded = [encode_entry(addition.entry) for addition in additions]
            if [a.entry["kind"] == Kind.STATION for a in additions] != [
                first + i == 0 for i in range(len(additions))
            ]:
                raise _refused(
                    "first-entry",
                    "the first entry, and only it, names the station",
                    "Append the station's entry first.",
                )
            if any(addition.entry["kind"] in CHANGES for addition in additions):
                raise _refused(
                    "key",
                    "the key is changed by `change_key`",
                    "Report this: an error in the program.",
                )
            return self._add(additions, encoded, self._signer)

    def change_key(self, change: Addition, new: NoteSigner) -> int:
        """Add an entry of `key_change` under a checkpoint by `new`, who signs from then on.

        The signer of now is not needed: it may be lost. Raises as `append` does.
        """
        with self.alone():
            self._refresh(clear=True)
            entry = change.entry
            if (entry["old"], entry["new"]) != (str(self._verifier), str(new.verifier)):
                raise _refused(
                    "key",
                    "the entry is of other keys than these",
                    "Open the manifest again: another process may have changed its key.",
                )
            return self._add([change], [encode_entry(entry)], new)

    def _add(
        self, additions: Sequence[Addition], encoded: Sequence[bytes], signer: NoteSigner
    ) -> int:
        first = self.size
        index = self._caught_up()
        index.admit(first, [addition.entry for addition in additions])
        written = False
        try:
            self._write(additions, encoded, signer)
            written = True
        finally:
            if not written:
                index.forget()
        index.settle(self.size, self._checkpoint.root)
        return first

    def _write(
        self, additions: Sequence[Addition], encoded: Sequence[bytes], signer: NoteSigner
    ) -> None:
        evidence = list(evidence_of(self._folder.path, additions))
        edge, bundle, tree = grown(self._edge, self._bundle, encoded)
        files = [NewFile(path=self._folder.path / name, data=tree[name]) for name in tree]
        head = Checkpoint(origin=self.origin, size=edge.size, root=edge.root())
        note = sign_note(head.text(), [signer])
        before = self.note()
        if len(parse_note(before).signatures) > 1:  # what others signed is not lost with it
            path = self._folder.path / cosigned_path(self.size)
            files.append(NewFile(path=path, data=before))
        changed = signer.verifier if signer.verifier != self._verifier else None
        self._stale = True
        commit(self._folder.path, self.size, evidence + files, note.to_bytes(), changed)
        self._checkpoint, self._edge, self._bundle = head, edge, bundle
        self._note, self._verifier, self._signer = note.to_bytes(), signer.verifier, signer
        self._stale = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the folder to oneself, and see what others have added to it."""
        folder = self._folder.path
        with self._lock, ExitStack() as waited:
            if self._depth == 0 and self._signer is not None:
                waited.enter_context(turn(lock_path(folder)))
                there = (folder / PENDING).exists()
                if self._stale or there or self._folder.read(CHECKPOINT) != self._note:
                    self._refresh(clear=True)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def _caught_up(self) -> Index:
        """The index, at the size of the log."""
        if self._index is None:
            self._index = Index(index_path(self._folder.path))
        self._index.catch_up(self._checkpoint, self.prover().root, self.entries)
        return self._index

    def _refresh(self, *, clear: bool) -> None:
        """Read the head from the disk, after an append that was cut off at the latest."""
        with self._lock:
            data = self._folder.read(CHECKPOINT)
            note = open_note(data, [self._verifier])
            checkpoint = Checkpoint.parse(note.text)
            if checkpoint.origin != self._verifier.name:
                raise _refused(
                    "origin",
                    f"the checkpoint is of {checkpoint.origin}, the key of {self._verifier.name}",
                    "Use the verifier key of this log.",
                )
            if clear:
                settle(self._folder.path, checkpoint.size)
            number, width = divmod(checkpoint.size, TILE_WIDTH)
            edge = RightEdge.read(checkpoint.size, self._folder.hashes)
            bundle = self._folder.bundle(number, width) if width else []
            if edge.root() != checkpoint.root or b"".join(map(leaf_hash, bundle)) != (
                self._folder.hashes(0, number, width) if width else b""
            ):
                raise _refused(
                    "root",
                    "the tiles at the right edge do not have the root that was signed",
                    "Run `tokenprov manifest verify` and restore what it names; "
                    "nothing is appended to a damaged log.",
                )
            self._checkpoint, self._edge, self._bundle = checkpoint, edge, bundle
            self._note, self._stale = data, False


def lock_path(folder: Path) -> Path:
    """The file that whoever appends to a manifest's folder has a lock on."""
    return folder.with_name(f"{folder.name}.lock")


def _refused(rule: str, what: str, remedy: str) -> ManifestError:
    return ManifestError(f"manifest: {what}", remedy=remedy, rule=rule)
