"""A witness: cosigns the checkpoint of a log that only grew since the last one it saw.

    seen/<SHA-256 of origin>        the last checkpoint of a log that it cosigned
    seen/<SHA-256 of origin>.vkey   that log's key, as it was given the first time

Rules (https://c2sp.org/tlog-cosignature, Ed25519):
- What it saw is durable before it signs: a witness that was cut off never cosigns a fork.
- The first time it takes the log as it is, by a key that it is given; later by that key, and by
  those that it vouched for. The key of an epoch must be given (`key_change`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tokenprov.errors import InputError, ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import decode_entry
from tokenprov.record.files import make_folder, write_durable
from tokenprov.record.folder import CHECKPOINT, ManifestFolder
from tokenprov.record.key_change import changes_in, follow
from tokenprov.record.note import Note, open_note, parse_note, sign_note
from tokenprov.record.pin import check_pin
from tokenprov.record.signer import Cosigner
from tokenprov.record.verifier_key import VerifierKey

_SEEN = "seen"


class Witness:
    """A witness with its folder; its key is in `signing.own`."""

    def __init__(self, folder: Path, cosigner: Cosigner) -> None:
        """`cosigner` signs for it; `folder` has what it saw."""
        self._folder, self._cosigner = folder, cosigner

    def cosign(self, folder: Path, given: VerifierKey | None) -> Checkpoint:
        """Add this witness' line to the checkpoint in a manifest's folder; gives the checkpoint.

        Raises InputError (a log not seen before, and no key; another key than the first time),
        ManifestError: the signature does not hold, `rollback`, `fork`.
        """
        manifest = ManifestFolder(folder)
        data = manifest.read(CHECKPOINT)
        note = parse_note(data)
        head = Checkpoint.parse(note.text)
        seen = self._folder / _SEEN / hashlib.sha256(head.origin.encode()).hexdigest()
        before = Checkpoint.parse(parse_note(seen.read_bytes()).text).size if seen.exists() else 0
        known = self._key_of(seen.with_suffix(".vkey"), head.origin, given)
        key = known
        if (key.name, key.key_id) not in {(line.name, line.key_id) for line in note.signatures}:
            changes = changes_in(manifest.entries(before, head.size), decode_entry)
            key = follow(known, changes, () if given is None else (given,))
        if given not in (None, known, key):
            raise InputError(
                f"log {head.origin} has another key here than the one that was given",
                remedy="Ask the station which is right before anything is cosigned.",
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
            check_pin(seen.read_bytes(), manifest, head, lambda size: then)
        make_folder(seen.parent, 0o700)
        write_durable(seen, data)
        write_durable(seen.with_suffix(".vkey"), f"{key}\n".encode())
        (mine,) = sign_note(note.text, [self._cosigner]).signatures
        others = tuple(
            line for line in note.signatures if (line.name, line.key_id) != (mine.name, mine.key_id)
        )
        write_durable(
            folder / CHECKPOINT, Note(text=note.text, signatures=(*others, mine)).to_bytes()
        )
        return head

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
