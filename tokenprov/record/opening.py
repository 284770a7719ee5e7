"""Who an entry is about: a salted commitment in the log, its opening beside it.

    openings/<commitment>.json   {"holder":{…},"salt":"<64 hex digits>"}, RFC 8785

Rules:
- The commitment is SHA-256 over "tokenprov/holder/v1", a newline, and the opening's file as it is.
- The salt is 32 bytes of the operating system's generator. One salt for a holder makes all their
  tokens show as one holder's, without saying whose; another salt makes them two strangers.
- Deleting the file erases the identity: without the salt no name can be tried against the log,
  and the log's proofs do not change.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from tokenprov.errors import ManifestError
from tokenprov.model import Holder, Json
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical

SALT_SIZE = 32  # bytes

_DOMAIN = b"tokenprov/holder/v1\n"
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A holder's data and the salt that hides them; both stay out of logs."""

    holder: Json = field(repr=False)  # Holder.to_json()
    salt: bytes = field(repr=False)

    @property
    def commitment(self) -> str:
        """64 hex digits: what stands in the log."""
        return hashlib.sha256(_DOMAIN + self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The file."""
        return canonical({"holder": self.holder, "salt": self.salt.hex()})

    @classmethod
    def parse(cls, data: bytes) -> Opening:
        """Read the file. Raises ManifestError (rule `opening`)."""
        try:
            document = parse_canonical(data)
        except CanonicalError as exc:
            raise _refused(exc.message) from exc
        if not isinstance(document, dict) or document.keys() != {"holder", "salt"}:
            raise _refused("other members than holder and salt")
        salt = document["salt"]
        if not isinstance(salt, str) or not _HEX.fullmatch(salt):
            raise _refused("the salt is not 64 hex digits")
        if not isinstance(document["holder"], dict):
            raise _refused("the holder is no object")
        return cls(holder=document["holder"], salt=bytes.fromhex(salt))


def commit_holder(holder: Holder, salt: bytes) -> Opening:
    """The opening whose commitment stands for the holder. ValueError: not 32 bytes of salt."""
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt of {len(salt)} bytes")
    return Opening(holder=holder.to_json(), salt=bytes(salt))


def _refused(what: str) -> ManifestError:
    return ManifestError(
        f"opening: {what}",
        remedy="Restore the file from a copy; if the identity was erased, delete it.",
        rule="opening",
    )
