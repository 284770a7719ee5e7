"""C2SP signed notes: a text, a blank line, and signatures by named keys.

    <text, one or more lines, UTF-8, no control character but newline>
    <blank line>
    — <key name> <base64 of key id (4 bytes) and signature>

Rules (https://c2sp.org/signed-note):
- The text ends in a newline; the last blank line of the file ends it. The signature is over the
  text with that newline and without the blank line.
- A signature by a key that the reader does not know is ignored; one by a known key that does not
  verify refuses the note; a note with no verified signature is refused.
- Keys and their kinds of signature are in `verifier_key`.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tokenprov.errors import StationError
from tokenprov.record.files import create_durable
from tokenprov.record.verifier_key import (
    KEY_ID,
    SignatureType,
    VerifierKey,
    cosigned,
    is_key_name,
    refused,
    strict_base64,
)

__all__ = [
    "Ed25519Signer",
    "Note",
    "NoteSignature",
    "NoteSigner",
    "SignatureType",
    "VerifierKey",
    "cosigned",
    "open_note",
    "parse_note",
    "sign_note",
    "strict_base64",
]

_SIGNATURE_PREFIX = "— "  # em dash (U+2014) and space
_MAX_NOTE = 1_000_000  # bytes; the same limits as golang.org/x/mod/sumdb/note
_MAX_SIGNATURES = 100


class NoteSigner(Protocol):
    """What signs notes: a key file today, an HSM or a token behind the same three members."""

    @property
    def verifier(self) -> VerifierKey:
        """The public half, with the name and the key id."""

    @property
    def name(self) -> str:
        """The key's name: for a manifest, its origin."""

    @property
    def key_id(self) -> bytes:
        """4 bytes."""

    def sign(self, message: bytes) -> bytes:
        """The signature over the text of a note."""


class Ed25519Signer:
    """A note signer whose key is a PKCS#8 PEM file, mode 0600."""

    def __init__(self, name: str, key: ed25519.Ed25519PrivateKey) -> None:
        if not is_key_name(name):
            raise refused("key-name", f"{name!r} is empty or has a space or a plus sign")
        self._key = key
        raw = key.public_key().public_bytes_raw()
        self._verifier = VerifierKey(name=name, type=SignatureType.ED25519, key=raw)

    @classmethod
    def generate(cls, name: str, path: Path) -> Ed25519Signer:
        """Draw a key and store it. Raises FileExistsError: a signing key is never replaced."""
        signer = cls(name, ed25519.Ed25519PrivateKey.generate())
        pem = signer._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        create_durable(path, pem, 0o600)
        return signer

    @classmethod
    def load(cls, name: str, path: Path) -> Ed25519Signer:
        """Read the key file. Raises StationError: missing, open to others, no Ed25519 key."""
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
            pem = path.read_bytes()
        except OSError as exc:
            raise StationError(
                f"the signing key {path} cannot be read: {exc.strerror}",
                remedy="Restore it from its backup; without it nothing can be added.",
            ) from exc
        if mode & 0o077:
            raise StationError(
                f"the signing key {path} has mode {mode:04o}: others can read it",
                remedy=f"chmod 600 {path}, and consider whether somebody has copied it.",
            )
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as exc:
            raise StationError(
                f"{path} is not an unencrypted PKCS#8 PEM key",
                remedy="Restore the signing key from its backup.",
            ) from exc
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise StationError(
                f"{path} does not hold an Ed25519 key",
                remedy="Restore the signing key from its backup.",
            )
        return cls(name, key)

    @property
    def verifier(self) -> VerifierKey:
        return self._verifier

    @property
    def name(self) -> str:
        return self._verifier.name

    @property
    def key_id(self) -> bytes:
        return self._verifier.key_id

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


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
        NoteSignature(name=s.name, key_id=s.key_id, signature=s.sign(message)) for s in signers
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
