"""The least that judging a manifest takes: every entry hashed into the tree and compared with its
canonical form, and the signature over the root; nothing of what the entries say.

    python -m tests.bench.floor FOLDER VERIFIER-KEY

Written with `json`, `hashlib` and `cryptography` alone, as somebody would who wants no more.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TILE = 256


def entries(folder: Path, size: int) -> Iterator[bytes]:
    """The log's entries, from bundles that are whole and the last one."""
    for number in range((size + TILE - 1) // TILE):
        name = "/".join(_parts(number))
        width = min(size - number * TILE, TILE)
        data = (
            folder / f"tile/entries/{name}{'' if width == TILE else f'.p/{width}'}"
        ).read_bytes()
        at = 0
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2])
            yield data[at + 2 : end]
            at = end


def root(leaves: Iterator[bytes]) -> bytes:
    """The root over them (RFC 6962, 2.1), a subtree a level in memory."""
    stack: list[tuple[int, bytes]] = []
    for leaf in leaves:
        level, right = 0, leaf
        while stack and stack[-1][0] == level:
            right = hashlib.sha256(b"\1" + stack.pop()[1] + right).digest()
            level += 1
        stack.append((level, right))
    _, right = stack.pop()
    while stack:
        right = hashlib.sha256(b"\1" + stack.pop()[1] + right).digest()
    return right


def check(folder: Path, key: str) -> None:
    """Raises ValueError, or InvalidSignature."""
    text, _, lines = (folder / "checkpoint").read_text(encoding="utf-8").rpartition("\n\n")
    _, size, signed = text.split("\n")[:3]
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.split("+", 2)[2])[1:])
    public.verify(base64.b64decode(lines.split()[-1])[4:], f"{text}\n".encode())
    if root(map(_leaf, entries(folder, int(size)))) != base64.b64decode(signed):
        raise ValueError("another root")


def _leaf(entry: bytes) -> bytes:
    again = json.dumps(
        json.loads(entry), sort_keys=True, ensure_ascii=False, separators=(",", ":")
    ).encode()
    if again != entry:
        raise ValueError("not in canonical form")
    return hashlib.sha256(b"\0" + entry).digest()


def _parts(number: int) -> list[str]:
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    return parts


if __name__ == "__main__":
    check(Path(sys.argv[1]), sys.argv[2])
