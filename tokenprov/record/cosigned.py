"""Lines of witnesses, put where they belong in a manifest's folder.

Rules:
- A line is under the checkpoint that the witness saw: the head, or one of fewer entries, which is
  then kept beside it (`cosigned/<size>`). What is there of other witnesses stays.
- That checkpoint is the log's own: signed by the key of then, with the root of its first entries.
- Nothing else is written, so that a log that grows meanwhile has at most one of the two places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.files import make_folder, write_durable
from tokenprov.record.folder import CHECKPOINT, ManifestFolder, cosigned_path
from tokenprov.record.note import Note, NoteSignature, open_note, parse_note
from tokenprov.record.proof import Prover
from tokenprov.record.verifier_key import VerifierKey


def add_cosignatures(
    folder: Path, note: bytes, log_key: VerifierKey, witnesses: Sequence[VerifierKey]
) -> Checkpoint:
    """Keep the lines of `witnesses` under a checkpoint that `log_key` signed; gives that one.

    The caller has the folder to itself. Raises ManifestError: no such line, a wrong one, or the
    checkpoint is none of this log.
    """
    signed = open_note(note, [log_key])
    lines = open_note(note, witnesses).signatures
    text, manifest = signed.text, ManifestFolder(folder)
    given, head_note = Checkpoint.parse(text), parse_note(manifest.read(CHECKPOINT))
    head = Checkpoint.parse(head_note.text)
    if given.size > head.size or given.origin != head.origin:
        raise _refused(f"it is of {given.size} entries of {given.origin}")
    if given.root != Prover(head.size, manifest.hashes).root(given.size):
        raise _refused(f"its {given.size} entries are not the first of these")
    name, there = CHECKPOINT, head_note.signatures
    if text != head_note.text:
        if given.size == head.size:
            raise _refused("its text is another than that of the head")
        name = cosigned_path(given.size)
        there = _kept(folder / name, text) or signed.signatures
    make_folder((folder / name).parent)
    write_durable(folder / name, Note(text=text, signatures=_joined(there, lines)).to_bytes())
    return given


def _kept(path: Path, text: str) -> tuple[NoteSignature, ...]:
    """The lines that are kept of that checkpoint already."""
    if not path.exists():
        return ()
    note = parse_note(path.read_bytes())
    if note.text != text:
        raise _refused(f"another one is kept of as many entries, {path}")
    return note.signatures


def _joined(
    there: Iterable[NoteSignature], new: Iterable[NoteSignature]
) -> tuple[NoteSignature, ...]:
    """One line a key, the newer one."""
    found = {(line.name, line.key_id): line for line in there}
    fresh = {(line.name, line.key_id): line for line in new}
    return (*(line for key, line in found.items() if key not in fresh), *fresh.values())


def _refused(what: str) -> ManifestError:
    return ManifestError(
        f"cosigned checkpoint: {what}",
        remedy="Keep it and ask the witness what they saw; it is no checkpoint of this manifest.",
        rule="cosigned",
    )
