"""A file sealed to a custodian's key, written and read as a stream of any length.

    tokenprov/sealed-file/v1
    {"about":{…},"ciphertext":…,"kid":…,"suite":…,"v":1}
    chunk, chunk, …

Rules:
- The second line is RFC 8785 JSON; `ciphertext` is base64 of a random key of 32 bytes in HPKE as
  envelopes have it (`escrow`), `info` being the first line and the second without that member.
- A chunk is 65,536 bytes, the last one fewer, each in AES-256-GCM with its tag of 16 bytes after
  it. Its nonce is its number, from 0, in 11 bytes, and a byte that is 1 for the last one. So none
  can be changed, left out, moved or cut off.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from io import RawIOBase
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokenprov.errors import EscrowError
from tokenprov.model import Json
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical
from tokenprov.record.escrow import CustodianKey, EnvelopeSuite, PrivateKey
from tokenprov.record.verifier_key import strict_base64

DOMAIN = b"tokenprov/sealed-file/v1\n"
CHUNK = 65_536  # bytes
_KEY, _TAG, _NUMBER = 32, 16, 11  # bytes
_LINE = 65_536  # bytes of the second line, at most
_MEMBERS = {"about", "ciphertext", "kid", "suite", "v"}


class SealedWriter(RawIOBase):
    """Seals what is written; `close` ends it, and without that it does not open."""

    def __init__(self, out: BinaryIO, recipient: CustodianKey, about: Mapping[str, Json]) -> None:
        header = {
            "v": 1,
            "suite": str(recipient.suite),
            "kid": recipient.kid,
            "about": dict(about),
        }
        key = os.urandom(_KEY)
        sealed = recipient.encrypt(key, DOMAIN + canonical(header))
        header["ciphertext"] = base64.b64encode(sealed).decode()
        out.write(DOMAIN + canonical(header) + b"\n")
        self._out, self._cipher = out, AESGCM(key)
        self._number, self._waiting = 0, bytearray()

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # whatever buffer it is given
        """Seal all of it."""
        self._waiting += data
        while len(self._waiting) > CHUNK:
            self._put(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def close(self) -> None:
        """Mark the end."""
        if not self.closed:
            self._put(bytes(self._waiting), last=True)
            self._waiting.clear()
        super().close()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._number, last), chunk, None))
        self._number += 1


class SealedReader(RawIOBase):
    """Opens what was sealed. Raises EscrowError: no such file, another key's, changed, cut off."""

    def __init__(self, source: BinaryIO, key: PrivateKey) -> None:
        header = _header(source)
        self.about: dict[str, Json] = header["about"]
        own = key.recipient.kid
        if header["kid"] != own:
            raise EscrowError(
                f"it is sealed to key {header['kid']}, and this is key {own}",
                remedy="Open it with the private key that it was sealed to.",
            )
        sealed = strict_base64(header.pop("ciphertext")) or b""
        try:
            opened = key.decrypt(sealed, DOMAIN + canonical(header))
        except InvalidTag as exc:
            raise _changed() from exc
        if len(opened) != _KEY:
            raise _unreadable()
        self._source, self._cipher = source, AESGCM(opened)
        self._number, self._ready, self._ahead = 0, bytearray(), source.read(CHUNK + _TAG)
        self._ended = False

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or fewer at the end."""
        while not self._ended and (size < 0 or len(self._ready) < size):
            self._next()
        size = len(self._ready) if size < 0 else size
        found = bytes(self._ready[:size])
        del self._ready[:size]
        return found

    def _next(self) -> None:
        chunk, self._ahead = self._ahead, self._source.read(CHUNK + _TAG)
        self._ended = not self._ahead
        try:
            self._ready += self._cipher.decrypt(_nonce(self._number, self._ended), chunk, None)
        except InvalidTag as exc:
            raise _changed() from exc
        self._number += 1


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(_NUMBER) + bytes([last])


def _header(source: BinaryIO) -> dict[str, Json]:
    first, second = source.readline(len(DOMAIN)), source.readline(_LINE)
    try:
        document = parse_canonical(second.removesuffix(b"\n"))
    except CanonicalError as exc:
        raise _unreadable() from exc
    if first != DOMAIN or not isinstance(document, dict) or document.keys() != _MEMBERS:
        raise _unreadable()
    if document["v"] != 1 or document["suite"] not in [*EnvelopeSuite]:
        raise _unreadable()
    texts, about = (document["kid"], document["ciphertext"]), document["about"]
    if not all(isinstance(text, str) for text in texts) or not isinstance(about, dict):
        raise _unreadable()
    return document


def _unreadable() -> EscrowError:
    return EscrowError(
        "it is not a sealed file of this version",
        remedy="Name a file that `tokenprov backup` made, or use a later version of tokenprov.",
    )


def _changed() -> EscrowError:
    return EscrowError(
        "it does not open: it was changed or cut off after it was sealed",
        remedy="Take it from another copy.",
    )
