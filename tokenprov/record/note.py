"""C2SP signed notes: a text, a blank line, and signatures by named keys.

    <text, one or more lines, UTF-8, no control character but newline>
    <blank line>
    — <key name> <base64 of key id (4 bytes) and signature>

Rules (https://c2sp.org/signed-note):
- The text ends in a newline; the last blank line of the file ends it. The signature is over the
  text with that newline and without the blank line.
- A signature by a key that the reader does not know is ignored; one by a known key that does not
  verify refuses the note; a note with no verified signature is refused.
- Which key made a line, its name and key id say (`verifier_key`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenprov.record.signer import NoteSigner
from tokenprov.record.verifier_key import KEY_ID, VerifierKey, is_key_name, refused, strict_base64

__all__ = [
    "Note",
    "NoteSignature",
    "NoteSigner",
    "VerifierKey",
    "open_note",
    "parse_note",
    "sign_note",
]


_SIGNATURE_PREFIX = "— "  # em dash (U+2014) and space
_MAX_NOTE = 1_000_000  # bytes; the same limits as golang.org/x/mod/sumdb/note
_MAX_SIGNATURES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line."""

    name: str
    key_id: bytes  # 4 bytes
    signature: bytes

    def __str__(self) -> str:
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"{_SIGNATURE_PREFIX}{self.name} {encoded}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text, which ends in a newline, and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The file."""
        return (self.text + "\n" + "".join(map(str, self.signatures))).encode()


def parse_note(data: bytes) -> Note:
    """Read the form alone, no signature checked. Raises ManifestError (rule `note`)."""
    if len(data) > _MAX_NOTE:
        raise refused("note", "longer than a megabyte")
    try:
        content = data.decode()
    except UnicodeDecodeError as exc:
        raise refused("note", f"not UTF-8 at byte {exc.start}") from exc
    if any(char < " " and char != "\n" for char in content):
        raise refused("note", "a control character")
    split = content.rfind("\n\n")
    if split < 0:
        raise refused("note", "no blank line before the signatures")
    text, tail = content[: split + 1], content[split + 2 :]
    if not tail.endswith("\n"):
        raise refused("note", "no signature, or no newline at the end")
    lines = tail[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise refused("note", f"more than {_MAX_SIGNATURES} signatures")
    return Note(text=text, signatures=tuple(map(_parse_signature, lines)))


def sign_note(text: str, signers: Sequence[NoteSigner]) -> Note:
    """A note by these signers over a text that ends in a newline."""
    message = text.encode()
    signatures = tuple(
        NoteSignature(name=s.verifier.name, key_id=s.verifier.key_id, signature=s.sign(message))
        for s in signers
    )
    note = Note(text=text, signatures=signatures)
    if parse_note(note.to_bytes()) != note:
        raise refused("note", "the text cannot stand in a note")
    return note


def open_note(data: bytes, keys: Iterable[VerifierKey]) -> Note:
    """The note with the signatures that `keys` verified, those of strangers left out.

    Raises ManifestError: rule `note` for its form, `signature` for one that is wrong or missing.
    """
    note = parse_note(data)
    known = {(key.name, key.key_id): key for key in keys}
    message = note.text.encode()
    verified: dict[tuple[str, bytes], NoteSignature] = {}
    for signature in note.signatures:
        identity = (signature.name, signature.key_id)
        if identity not in known or identity in verified:
            continue
        if not known[identity].verify(message, signature.signature):
            raise refused("signature", f"the signature by {signature.name} does not verify")
        verified[identity] = signature
    if not verified:
        raise refused("signature", "no signature by a known key")
    return Note(text=note.text, signatures=tuple(verified.values()))


def _parse_signature(line: str) -> NoteSignature:
    if not line.startswith(_SIGNATURE_PREFIX):
        raise refused("note", "a signature line does not begin with an em dash and a space")
    name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    raw = strict_base64(encoded)
    if not is_key_name(name) or raw is None or len(raw) <= KEY_ID:
        raise refused("note", "a signature line is not `— name base64`")
    return NoteSignature(name=name, key_id=raw[:KEY_ID], signature=raw[KEY_ID:])
