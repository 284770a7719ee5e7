"""The text of a checkpoint: which log, how many entries, and the root of their tree.

    <origin>
    <size, decimal>
    <root hash, base64>
    [extension lines, opaque]

Rules (https://c2sp.org/tlog-checkpoint): lines are not empty and end in a newline; the size has
no leading zero; the root is 32 bytes. The log's key carries the origin as its name.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from tokenprov.errors import ManifestError
from tokenprov.record.verifier_key import strict_base64

_HASH = 32  # bytes of SHA-256
_MAX_SIZE = 2**63 - 1  # the readers in Go keep it in an int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The head of a tree: `root` is 32 bytes, `size` a number of entries."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The text to be signed."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{x}\n" for x in (self.origin, str(self.size), root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text. Raises ManifestError (rule `checkpoint`)."""
        if not text.endswith("\n"):
            raise _refused("no newline at the end")
        lines = text[:-1].split("\n")
        if len(lines) < 3 or not all(lines):
            raise _refused("fewer than three lines, or an empty one")
        origin, digits, encoded, *extensions = lines
        if not (digits.isascii() and digits.isdigit() and str(int(digits[:20])) == digits):
            raise _refused("the size is not a plain decimal number")
        root = strict_base64(encoded)
        if root is None or len(root) != _HASH:
            raise _refused("the root is not the base64 of 32 bytes")
        if int(digits) > _MAX_SIZE:
            raise _refused("the size is beyond 2^63 - 1")
        return cls(origin=origin, size=int(digits), root=root, extensions=tuple(extensions))


def _refused(what: str) -> ManifestError:
    return ManifestError(
        f"checkpoint: {what}",
        remedy="Take the checkpoint from a copy that was not changed.",
        rule="checkpoint",
    )
