"""A witness: cosigns the checkpoint of a log that only grew since the last one it saw.

    seen/<SHA-256 of origin>        the last checkpoint of a log that it cosigned
    seen/<SHA-256 of origin>.vkey   that log's key, as it was given the first time

Rules (https://c2sp.org/tlog-cosignature, https://c2sp.org/tlog-witness):
- What it saw is durable before it signs: a witness that was cut off never cosigns a fork.
- The first time it takes the log as it is, by a key that it is given; later by that key, and by
  those that it vouched for, as the log's entries prove: a submission has none in it, so these are
  shown beside it. The key of an epoch must be given (`key_change`).
- Nothing is written where the log is: what it signed is given back (`cosigned` puts it there).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenprov.errors import InputError, ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import Entry, decode_entry
from tokenprov.record.files import make_folder, write_durable
from tokenprov.record.folder import CHECKPOINT, ManifestFolder
from tokenprov.record.key_change import changes_in, follow
from tokenprov.record.lock import turn
from tokenprov.record.note import Note, open_note, parse_note, sign_note
from tokenprov.record.pin import ProofFrom, check_pin, proofs_in
from tokenprov.record.signer import Cosigner
from tokenprov.record.submission import Submission
from tokenprov.record.verifier_key import VerifierKey

_SEEN = "seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """What a witness signed: the note with the log's own line and the witness', and their keys."""

    head: Checkpoint
    note: bytes
    log_key: VerifierKey
    witness_key: VerifierKey


class Witness:
    """A witness with its folder; its key is in `signing.own`."""

    def __init__(self, folder: Path, cosigner: Cosigner) -> None:
        """`cosigner` signs for it; `folder` has what it saw."""
        self._folder, self._cosigner = folder, cosigner

    def cosign(self, folder: Path, given: VerifierKey | None) -> Cosigned:
        """Cosign the checkpoint in a manifest's folder.

        Raises InputError (a log not seen before, and no key; another key than the first time),
        ManifestError: the signature does not hold, `rollback`, `fork`.
        """
        manifest = ManifestFolder(folder)
        note = manifest.read(CHECKPOINT)
        size = Checkpoint.parse(parse_note(note).text).size
        return self._judged(
            note,
            proofs_in(manifest, size),
            lambda before: changes_in(manifest.entries(before, size), decode_entry),
            given,
        )

    def answer(
        self,
        submission: Submission,
        given: VerifierKey | None,
        changes: Sequence[Entry] = (),
    ) -> Cosigned:
        """Cosign a checkpoint that was handed in, `changes` of the log's key beside it.

        Raises as `cosign`; ManifestError `submission`: it begins at another size than the last one
        that this witness saw.
        """
        return self._judged(
            submission.note,
            lambda before: _proof(submission, before),
            lambda before: changes,
            given,
        )

    def _judged(
        self,
        data: bytes,
        proof: ProofFrom,
        changes: Callable[[int], Iterable[Entry]],
        given: VerifierKey | None,
    ) -> Cosigned:
        note = parse_note(data)
        with turn(self._folder / "lock"):  # what was seen is judged and replaced as one
            head, key = self._see(note, data, proof, changes, given)
        (mine,) = sign_note(note.text, [self._cosigner]).signatures
        own = open_note(data, [key]).signatures
        return Cosigned(
            head=head,
            note=Note(text=note.text, signatures=(*own, mine)).to_bytes(),
            log_key=key,
            witness_key=self._cosigner.verifier,
        )

    def _see(
        self,
        note: Note,
        data: bytes,
        proof: ProofFrom,
        changes: Callable[[int], Iterable[Entry]],
        given: VerifierKey | None,
    ) -> tuple[Checkpoint, VerifierKey]:
        head = Checkpoint.parse(note.text)
        seen = self._folder / _SEEN / hashlib.sha256(head.origin.encode()).hexdigest()
        before = Checkpoint.parse(parse_note(seen.read_bytes()).text).size if seen.exists() else 0
        known = self._key_of(seen.with_suffix(".vkey"), head.origin, given)
        key, signers = known, {(line.name, line.key_id) for line in note.signatures}
        if (key.name, key.key_id) not in signers:
            key = follow(known, changes(before), () if given is None else (given,))
        if given not in (None, known, key):
            raise InputError(
                f"log {head.origin} has another key here than the one that was given",
                remedy="Ask the station which is right before anything is cosigned.",
            )
        if (key.name, key.key_id) not in signers:
            raise ManifestError(
                f"witness: the checkpoint of {head.origin} is not by the key that is known here",
                remedy="Where the station changed its key, give what proves it beside a submission:"
                " tokenprov manifest keys --changes > FILE, and here --changes FILE. The key of an"
                " epoch, which no other vouches for, is given with --key.",
                rule="signature",
            )
        open_note(data, [key])
        if key.name != head.origin:
            raise ManifestError(
                f"witness: the checkpoint is of {head.origin}, the key of {key.name}",
                remedy="Give the verifier key of this log.",
                rule="origin",
            )
        if seen.exists():
            by = {(line.name, line.key_id) for line in parse_note(seen.read_bytes()).signatures}
            then = known if (known.name, known.key_id) in by else key  # cut off between the two
            check_pin(seen.read_bytes(), proof, head, lambda size: then)
        else:
            proof(0)
        make_folder(seen.parent, 0o700)
        write_durable(seen, data)
        write_durable(seen.with_suffix(".vkey"), f"{key}\n".encode())
        return head, key

    @staticmethod
    def _key_of(path: Path, origin: str, given: VerifierKey | None) -> VerifierKey:
        known = VerifierKey.in_file(path.read_bytes()) if path.exists() else None
        if known is None and given is None:
            raise InputError(
                f"log {origin} was never seen here, and no key was given",
                remedy="Give its verifier key with --key, as you got it from the station.",
            )
        key = known or given
        assert key is not None, "one of the two is there"
        return key


def _proof(submission: Submission, before: int) -> Sequence[bytes]:
    if submission.old != before:
        raise ManifestError(
            f"witness: the proof begins at {submission.old} entries, and the last checkpoint that"
            f" was seen here has {before}",
            remedy=f"Have the station make it anew: tokenprov manifest submit --old {before}.",
            rule="submission",
        )
    return submission.proof
