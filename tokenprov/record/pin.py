"""The last checkpoint that an auditor saw: nothing that stood in the log may be gone or another.

A pin is that checkpoint as it was, a signed note in a file of the auditor's own. Rules:
- The log may only have grown since: `rollback` is a log of fewer entries.
- The pinned tree must be the beginning of the present one (RFC 9162, 2.1.4); otherwise the station
  has signed two histories, and the two checkpoints together prove it: `fork`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.note import open_note, parse_note
from tokenprov.record.proof import Prover, verify_consistency
from tokenprov.record.verifier_key import VerifierKey

ProofFrom = Callable[[int], Sequence[bytes]]  # a size -> the consistency proof from it to a head


def proofs_in(folder: ManifestFolder, size: int) -> ProofFrom:
    """Proofs to the tree of so many entries, by the tiles in a folder; from 0 it is empty."""
    prover = Prover(size, folder.hashes)
    return lambda old: prover.consistency(old) if old else ()


def check_pin(
    pin: bytes, proof: ProofFrom, head: Checkpoint, key_at: Callable[[int], VerifierKey]
) -> None:
    """Whether `head`, to which `proof` leads, continues the pinned checkpoint.

    `key_at` gives the key that signs a checkpoint of that many entries.

    Raises ManifestError: rule `pin` (not a checkpoint of this log), `rollback`, `fork`.
    """
    try:
        pinned = Checkpoint.parse(parse_note(pin).text)
        open_note(pin, [key_at(pinned.size)])
    except ManifestError as exc:
        raise _refused(
            "pin",
            f"it is not a checkpoint by the key of then: {exc.message}",
            "Use the file for this log",
        ) from exc
    if pinned.origin != head.origin:
        raise _refused("pin", f"it is of {pinned.origin}", "Use the file for this log")
    if pinned.size > head.size:
        raise _refused(
            "rollback",
            f"{pinned.size} entries were signed before, and there are {head.size} now",
            "Ask for the entries that are gone; the pin proves that they were signed",
        )
    if not continues(pinned, proof, head):
        raise _refused(
            "fork",
            f"its {pinned.size} entries are not the beginning of these {head.size}",
            "Keep both checkpoints: they prove that the station signed two histories",
        )


def continues(before: Checkpoint, proof: ProofFrom, head: Checkpoint) -> bool:
    """Whether the tree of `before` is the beginning of that of `head`, to which `proof` leads.

    Raises what `proof` does: ManifestError where a tile cannot be read.
    """
    if before.size == 0 or before.size == head.size:
        return before.size < head.size or before.root == head.root
    path = proof(before.size)
    return verify_consistency(before.size, before.root, head.size, head.root, path)


def _refused(rule: str, what: str, remedy: str) -> ManifestError:
    return ManifestError(f"pinned checkpoint: {what}", remedy=f"{remedy}.", rule=rule)
