"""What a log shows a witness elsewhere: its checkpoint, and how that continues what they saw last.

    old <number of entries that the witness cosigned last, 0 for none>
    <hashes of the consistency proof from there, base64, a line each>
    <blank line>
    <the checkpoint, a signed note, as it is>

Rules (https://c2sp.org/tlog-witness, add-checkpoint; it is the body of that request):
- At most 63 hashes; none where the old size is 0, or is the size of the checkpoint.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.folder import CHECKPOINT, ManifestFolder
from tokenprov.record.note import parse_note
from tokenprov.record.pin import proofs_in
from tokenprov.record.tlog import HASH_SIZE
from tokenprov.record.verifier_key import strict_base64

_MOST = 63  # hashes
_HEAD = re.compile(r"old (0|[1-9][0-9]{0,18})((?:\n[^\n]+)*)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A checkpoint with its consistency proof from an old size."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says, no signature looked at. Raises ManifestError."""
        return Checkpoint.parse(parse_note(self.note).text)

    @classmethod
    def of(cls, folder: ManifestFolder, old: int) -> Submission:
        """The head of the log in a folder, from an old size on. Raises ManifestError."""
        note = folder.read(CHECKPOINT)
        size = Checkpoint.parse(parse_note(note).text).size
        if old > size:
            raise _refused(f"the log has {size} entries, and no beginning of {old}")
        return cls(old=old, proof=tuple(proofs_in(folder, size)(old)), note=note)

    def to_bytes(self) -> bytes:
        """The file."""
        lines = [f"old {self.old}", *(base64.b64encode(step).decode() for step in self.proof)]
        return "\n".join(lines).encode() + b"\n\n" + self.note

    @classmethod
    def parse(cls, data: bytes) -> Submission:
        """Read the form, nothing verified. Raises ManifestError (rule `submission`)."""
        head, _, note = data.partition(b"\n\n")
        match = _HEAD.fullmatch(head.decode("utf-8", "replace"))
        if not match:
            raise _refused("not of the form: old size, hashes, a blank line and a checkpoint")
        old, path = int(match[1]), [strict_base64(line) for line in match[2].split("\n")[1:]]
        found = tuple(step for step in path if step is not None and len(step) == HASH_SIZE)
        if len(found) != len(path) or len(path) > _MOST or (path and not old):
            raise _refused("its proof is not at most 63 hashes in base64, none from 0")
        return cls(old=old, proof=found, note=note)


def _refused(what: str) -> ManifestError:
    return ManifestError(
        f"submission: {what}",
        remedy="Have the station make it anew: tokenprov manifest submit --old SIZE.",
        rule="submission",
    )
