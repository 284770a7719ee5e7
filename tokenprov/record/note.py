"""C2SP signed notes: a text, a blank line, and signatures by named keys.

    <text, one or more lines, UTF-8, no control character but newline>
    <blank line>
    — <key name> <base64 of key id (4 bytes) and signature>

Rules (https://c2sp.org/signed-note):
- The text ends in a newline; the last blank line of the file ends it. The signature is over the
  text with that newline and without the blank line.
- A key name is not empty and has neither space nor plus sign. The key id is the first 4 bytes of
  SHA-256(name, newline, type byte, public key).
- A signature by a key that the reader does not know is ignored; one by a known key that does not
  verify refuses the note; a note with no verified signature is refused.
- Base64 is the padded standard alphabet with no unused bit set: one spelling for one value.
- A verifier key is written `name+<key id, 8 hex digits>+<base64 of type byte and public key>`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tokenprov.errors import ManifestError, StationError
from tokenprov.record.files import create_durable

_SIGNATURE_PREFIX = "— "  # em dash (U+2014) and space
_MAX_NOTE = 1_000_000  # bytes; the same limits as golang.org/x/mod/sumdb/note
_MAX_SIGNATURES = 100
_KEY_ID = 4  # bytes
_TIME = 8  # bytes, big endian


class SignatureType(IntEnum):
    """The type byte of a key (https://c2sp.org/signed-note, Signature types)."""

    ED25519 = 0x01
    COSIGNATURE = 0x04  # Ed25519 with a time (https://c2sp.org/tlog-cosignature, Format)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key that verifies notes; `key` is the raw public key (32 bytes for Ed25519)."""

    name: str
    type: SignatureType
    key: bytes

    @property
    def key_id(self) -> bytes:
        """4 bytes that tell keys apart; no protection against forgery."""
        material = self.name.encode() + b"\n" + bytes([self.type]) + self.key
        return hashlib.sha256(material).digest()[:_KEY_ID]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.type]) + self.key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read the one-line form. Raises ManifestError (rule `verifier-key`)."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = strict_base64(encoded)
        if not _is_key_name(name) or raw is None or len(raw) < 2:
            raise _refused("verifier-key", "not of the form name+id+base64")
        if raw[0] not in set(SignatureType) or len(raw) != 33:
            raise _refused("verifier-key", f"a key of type {raw[0]} and {len(raw) - 1} bytes")
        key = cls(name=name, type=SignatureType(raw[0]), key=raw[1:])
        if key.key_id.hex() != key_id:
            raise _refused("verifier-key", "the key id does not belong to the name and the key")
        return key

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        if self.type is SignatureType.COSIGNATURE:
            if len(signature) != _TIME + 64:  # bytes of a time, and of Ed25519
                return False
            time, signature = int.from_bytes(signature[:_TIME]), signature[_TIME:]
            message = cosigned(message, time)
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519Signer:
    """A note signer whose key is a PKCS#8 PEM file, mode 0600."""

    def __init__(self, name: str, key: ed25519.Ed25519PrivateKey) -> None:
        if not _is_key_name(name):
            raise _refused("key-name", f"{name!r} is empty or has a space or a plus sign")
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


def cosigned(message: bytes, time: int) -> bytes:
    """What a cosigner signs at `time`, POSIX seconds (tlog-cosignature, Ed25519 signed message)."""
    return f"cosignature/v1\ntime {time}\n".encode() + message


def parse_note(data: bytes) -> Note:
    """Read the form alone, no signature checked. Raises ManifestError (rule `note`)."""
    if len(data) > _MAX_NOTE:
        raise _refused("note", "longer than a megabyte")
    try:
        content = data.decode()
    except UnicodeDecodeError as exc:
        raise _refused("note", f"not UTF-8 at byte {exc.start}") from exc
    if any(char < " " and char != "\n" for char in content):
        raise _refused("note", "a control character")
    split = content.rfind("\n\n")
    if split < 0:
        raise _refused("note", "no blank line before the signatures")
    text, tail = content[: split + 1], content[split + 2 :]
    if not tail.endswith("\n"):
        raise _refused("note", "no signature, or no newline at the end")
    lines = tail[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise _refused("note", f"more than {_MAX_SIGNATURES} signatures")
    return Note(text=text, signatures=tuple(map(_parse_signature, lines)))


def sign_note(text: str, signers: Sequence[NoteSigner]) -> Note:
    """A note by these signers over a text that ends in a newline."""
    message = text.encode()
    signatures = tuple(
        NoteSignature(name=s.name, key_id=s.key_id, signature=s.sign(message)) for s in signers
    )
    note = Note(text=text, signatures=signatures)
    if parse_note(note.to_bytes()) != note:
        raise _refused("note", "the text cannot stand in a note")
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
            raise _refused("signature", f"the signature by {signature.name} does not verify")
        verified[identity] = signature
    if not verified:
        raise _refused("signature", "no signature by a known key")
    return Note(text=note.text, signatures=tuple(verified.values()))


def strict_base64(text: str) -> bytes | None:
    """The bytes of padded standard base64 in its only spelling, or None."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def _parse_signature(line: str) -> NoteSignature:
    if not line.startswith(_SIGNATURE_PREFIX):
        raise _refused("note", "a signature line does not begin with an em dash and a space")
    name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    raw = strict_base64(encoded)
    if not _is_key_name(name) or raw is None or len(raw) <= _KEY_ID:
        raise _refused("note", "a signature line is not `— name base64`")
    return NoteSignature(name=name, key_id=raw[:_KEY_ID], signature=raw[_KEY_ID:])


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def _refused(rule: str, what: str) -> ManifestError:
    return ManifestError(
        f"signed note: {what}",
        remedy="Compare it with a copy from elsewhere; it was changed, or the key is not its key.",
        rule=rule,
    )
