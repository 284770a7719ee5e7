"""Judging the head of a log: whose key signed it, who cosigned it, and what it continues.

Rules:
- Which key signs is known when the entries are: the key changes by an entry (`key_change`).
- Who holds no key and no root's learns only that the folder is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from tokenprov.attestation import Anchors
from tokenprov.errors import ManifestError
from tokenprov.record.canonical import timestamp
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import Entry
from tokenprov.record.folder import CHECKPOINT, VERIFIER_KEY, ManifestFolder, cosigned_path
from tokenprov.record.key_change import Era, era_of, eras, head_before, untrusted
from tokenprov.record.key_list import KEY_LIST, KeyList
from tokenprov.record.note import open_note, parse_note
from tokenprov.record.pin import check_pin, proofs_in
from tokenprov.record.proof import Prover
from tokenprov.record.verdict import Findings, Stamp
from tokenprov.record.verifier_key import VerifierKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an auditor holds, and asks for."""

    keys: Sequence[VerifierKey] = ()  # of the log
    root: VerifierKey | None = None  # signs the list of the log's keys
    pin: bytes | None = None  # the last checkpoint that was seen
    seen: bytes | None = None  # the last list of keys that was, as the root signed it
    witnesses: Sequence[VerifierKey] = ()
    quorum: int = 0  # how many of them must have cosigned
    tsa_roots: Sequence[x509.Certificate] = ()  # by which time stamps are judged
    anchors: Anchors | None = None  # roots by which attestations are judged; None: they are not


def cosigners(note: bytes, held: Held) -> int:
    """How many of the witnesses cosigned. Raises ManifestError (rule `signature`): one is wrong."""
    try:
        return len(open_note(note, held.witnesses).signatures)
    except ManifestError as exc:
        if "does not verify" in exc.message:
            raise
        return 0


def check_quorum(note: bytes, held: Held, *, before: int | None = None) -> None:
    """Whether enough of the witnesses cosigned; `before`: the last checkpoint that enough did.

    Raises ManifestError: `quorum`, `signature`.
    """
    count = cosigners(note, held)
    if count < held.quorum:
        earlier = f"; that of {before} entries was by enough" if before is not None else ""
        raise ManifestError(
            f"cosigned by {count} of these witnesses, and {held.quorum} are asked for{earlier}",
            remedy="Have the witnesses cosign it; where one refuses, ask it why.",
            rule="quorum",
        )


class Head:
    """The head of the log in a folder; the changes of its key are added as they are read."""

    def __init__(self, folder: ManifestFolder, findings: Findings, held: Held) -> None:
        self._folder, self._findings, self._held = folder, findings, held
        self._stored: VerifierKey | None = None
        self._note = b""
        self._changes: list[tuple[int, Entry]] = []
        self.stamps: list[Stamp] = []

    def read(self) -> Checkpoint | None:
        """The checkpoint, its signatures not looked at yet."""
        try:
            text = self._folder.read(VERIFIER_KEY).decode("utf-8", "replace")
            self._stored = VerifierKey.parse(text.removesuffix("\n"))
            if text != f"{self._stored}\n":
                self._findings.add("verifier-key", "not one line", file=VERIFIER_KEY)
        except ManifestError as exc:
            self._findings.caught(exc, file=VERIFIER_KEY)
        try:
            self._note = self._folder.read(CHECKPOINT)
            return Checkpoint.parse(parse_note(self._note).text)
        except ManifestError as exc:
            self._findings.caught(exc, file=CHECKPOINT)
            return None

    def change(self, index: int, entry: Entry) -> None:
        """An entry that changes the key."""
        self._changes.append((index, entry))

    def check(self, head: Checkpoint, *, whole: bool) -> None:
        """Judge it, all entries being read; `whole`: they have the root that it says."""
        try:
            keys = eras(self._changes, self._only())
        except ManifestError:
            return  # named with its entry
        if not keys:
            return
        self._signatures(head, keys, self._kept(head, keys, whole=whole))
        self._trust(head, keys)
        if whole:
            self._roots(head)
            self._stamped(head)
        if self._held.pin is not None:
            try:
                proof = proofs_in(self._folder, head.size)
                check_pin(self._held.pin, proof, head, lambda size: era_of(keys, size).key)
            except ManifestError as exc:
                self._findings.caught(exc)

    def _only(self) -> VerifierKey | None:
        """The key of a log that never changed it."""
        if not self._held.keys or self._stored in self._held.keys:
            return self._stored
        return self._held.keys[0]

    def _kept(self, head: Checkpoint, keys: Sequence[Era], *, whole: bool) -> int | None:
        """Judge the earlier checkpoints that others cosigned; the last that enough of them did."""
        prover, enough = Prover(head.size, self._folder.hashes), None
        for size in (size for size in self._folder.cosigned() if size < head.size):
            name = cosigned_path(size)
            try:
                note = self._folder.read(name)
                kept = Checkpoint.parse(open_note(note, [era_of(keys, size).key]).text)
                if (kept.origin, kept.size) != (head.origin, size) or (
                    whole and kept.root != prover.root(size)
                ):
                    what = "no checkpoint of this log at that size"
                    self._findings.add("cosigned", what, file=name)
                elif cosigners(note, self._held) >= max(self._held.quorum, 1):
                    enough = size
            except ManifestError as exc:
                self._findings.caught(exc, file=name)
        return enough

    def _signatures(self, head: Checkpoint, keys: Sequence[Era], before: int | None) -> None:
        current = keys[-1].key
        if self._stored not in (None, current):
            self._findings.add("verifier-key", "not the key that signs", file=VERIFIER_KEY)
        try:
            open_note(self._note, [current])
            check_quorum(self._note, self._held, before=before)
        except ManifestError as exc:
            self._findings.caught(exc, file=CHECKPOINT)
        for key in {current, *self._held.keys}:
            if key.name != head.origin:
                what = f"of {head.origin}, not of {key.name}"
                self._findings.add("origin", what, file=CHECKPOINT)

    def _trust(self, head: Checkpoint, keys: Sequence[Era]) -> None:
        held, listed = self._held.keys, False
        if self._held.root is not None:
            try:
                found = KeyList.open(self._folder.read(KEY_LIST), self._held.root)
                found.check(head.origin, keys)
                if self._held.seen is not None:
                    found.follow(KeyList.open(self._held.seen, self._held.root))
                listed = True
            except ManifestError as exc:
                self._findings.caught(exc, file=KEY_LIST)
        for key in held:
            if key not in [era.key for era in keys]:
                self._findings.add("verifier-key", f"{key} never signed this log")
        unknown = untrusted(keys, held)
        if held and unknown is not None and not listed and self._held.root is None:
            self._findings.add(
                "epoch",
                f"the key {unknown.key} is vouched for by no key that you hold",
                index=unknown.since - 1 if unknown.since else None,
                remedy="Ask the station why it began an epoch, and for its key: --key;"
                " or verify by the root of its keys: --root.",
            )

    def _stamped(self, head: Checkpoint) -> None:
        """Judge the time stamps, where a root of their authorities is held."""
        if not self._held.tsa_roots:
            return
        # Loaded for those who ask: it brings a parser of its own.
        from tokenprov.record.timestamp import read_stamp

        prover = Prover(head.size, self._folder.hashes)
        for size, name in self._folder.stamped():
            if size > head.size:
                continue  # a stray
            try:
                root = prover.root(size)
                text = Checkpoint(origin=head.origin, size=size, root=root).text()
                when = read_stamp(self._folder.read(name), text, self._held.tsa_roots)
            except ManifestError as exc:
                self._findings.caught(exc, file=name)
                continue
            self.stamps.append(Stamp(size=size, time=timestamp(when), file=name))
        if not self.stamps:
            self._findings.add(
                "timestamp",
                "no time stamp by these authorities",
                remedy="Have the station ask for one: tokenprov manifest timestamp.",
            )

    def _roots(self, head: Checkpoint) -> None:
        """What the old key signed when it went is the beginning of this log."""
        prover = Prover(head.size, self._folder.hashes)
        for index, entry in self._changes:
            try:
                before = head_before(entry)
                other = before.size == index and before.root != prover.root(index)
            except ManifestError:
                continue  # named with its entry, or its tile
            if other:
                what = "the old key signed another tree than the entries before it"
                self._findings.add("key", what, index=index)
