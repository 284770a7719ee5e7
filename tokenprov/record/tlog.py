"""The Merkle tree of RFC 6962 on C2SP tiles: hashing, names of files, growing at the right edge.

Rules:
- A leaf is SHA-256(0x00, entry), a node SHA-256(0x01, left, right); the root of no entries is
  SHA-256 of nothing (RFC 6962, 2.1).
- A tile holds up to 256 hashes: at level 0 of leaves, at level L of full tiles of level L-1. Only
  full tiles count upwards; a tile that is not full yet is named after its width
  (https://c2sp.org/tlog-tiles, Merkle Tree).
- An entry bundle holds the entries of a level 0 tile, each after its length in two bytes, big
  endian (Log entries).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from tokenprov.errors import ManifestError

HASH_SIZE = 32  # bytes
TILE_HEIGHT = 8  # levels of the tree in one tile
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_ENTRY = 0xFFFF  # bytes: what the length of two bytes can say

ReadTile = Callable[[int, int, int], bytes]
"""(level, number, width) -> width * 32 bytes; raises ManifestError."""


class HashPrefix(IntEnum):
    """What keeps leaves and nodes apart (RFC 6962, 2.1)."""

    LEAF = 0x00
    NODE = 0x01


_LEAF = bytes([HashPrefix.LEAF])
_NODE = bytes([HashPrefix.NODE])
EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry, 32 bytes."""
    return hashlib.sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees, 32 bytes."""
    return hashlib.sha256(_NODE + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^n hashes."""
    row = hashes
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile: `width` hashes, the first at `number` * 256 of its level."""

    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        """Its file below the log's folder."""
        return f"tile/{self.level}/{_encoded(self.number)}{_partial(self.width)}"


def bundle_path(number: int, width: int) -> str:
    """The file of an entry bundle below the log's folder."""
    return f"tile/entries/{_encoded(number)}{_partial(width)}"


def parse_tile_path(path: str) -> Tile | None:
    """The tile that a path names, or None; entry bundles are given level -1."""
    match = _PATH.fullmatch(path)
    if not match:
        return None
    level = -1 if match["level"] == "entries" else int(match["level"])
    number = int(match["number"].replace("/", "").replace("x", ""))
    width = int(match["width"] or TILE_WIDTH)
    again = bundle_path(number, width) if level < 0 else Tile(level, number, width).path
    return Tile(level, number, width) if again == path else None


def tile_width(size: int, level: int, number: int) -> int:
    """How many hashes that tile holds in a tree of `size` entries; 0 where it has none."""
    return min(max((size >> (TILE_HEIGHT * level)) - number * TILE_WIDTH, 0), TILE_WIDTH)


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a tree of `size` entries, level by level."""
    level = 0
    while size >> (TILE_HEIGHT * level):
        for number in range(((size >> (TILE_HEIGHT * level)) + TILE_WIDTH - 1) // TILE_WIDTH):
            yield Tile(level, number, tile_width(size, level, number))
        level += 1


def pack_bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle. Raises ManifestError for an entry beyond 65,535 bytes."""
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise _refused(f"an entry of {len(entry)} bytes; {MAX_ENTRY} is the most")
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def unpack_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises ManifestError where a length does not fit."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start])
        if at > len(data):
            raise _refused(f"entry {len(entries)} of the bundle is cut off")
        entries.append(data[start:at])
    return entries


def split_hashes(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[i : i + HASH_SIZE] for i in range(0, len(tile), HASH_SIZE)]


class RightEdge:
    """The tiles at the right edge: all that is needed to append and to know the root."""

    def __init__(self, size: int = 0, edges: Sequence[Sequence[bytes]] = ()) -> None:
        self.size = size
        self._edges = [list(edge) for edge in edges]  # level by level, below 256 hashes each

    @classmethod
    def read(cls, size: int, read_tile: ReadTile) -> RightEdge:
        """The edge of a stored tree: one tile a level is read, and no entry."""
        edges = []
        level = 0
        while count := size >> (TILE_HEIGHT * level):
            number, width = divmod(count, TILE_WIDTH)
            edges.append(split_hashes(read_tile(level, number, width)) if width else [])
            level += 1
        return cls(size, edges)

    def copy(self) -> RightEdge:
        """Another one, to append to and perhaps throw away."""
        return RightEdge(self.size, self._edges)

    def append(self, leaf: bytes) -> dict[Tile, bytes]:
        """Add a leaf hash; the tiles that became full by it, with their content."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> dict[Tile, bytes]:
        """Add leaf hashes; the tiles that became full by them, with their content."""
        full: dict[Tile, bytes] = {}
        if not self._edges:
            self._edges.append([])
        lowest = self._edges[0]
        for leaf in leaves:
            self.size += 1
            lowest.append(leaf)
            if len(lowest) == TILE_WIDTH:
                self._carry(full)
        return full

    def _carry(self, full: dict[Tile, bytes]) -> None:
        """Empty the edges that are full, from the lowest up."""
        for level, edge in enumerate(self._edges):
            if len(edge) < TILE_WIDTH:
                break
            number = (self.size >> (TILE_HEIGHT * (level + 1))) - 1
            full[Tile(level, number, TILE_WIDTH)] = b"".join(edge)
            if level + 1 == len(self._edges):
                self._edges.append([])
            self._edges[level + 1].append(perfect_root(edge))
            edge.clear()

    def partial(self) -> dict[Tile, bytes]:
        """The tiles that are not full, with their content."""
        return {
            Tile(level, self.size >> (TILE_HEIGHT * (level + 1)), len(edge)): b"".join(edge)
            for level, edge in enumerate(self._edges)
            if edge
        }

    def root(self) -> bytes:
        """The root of the tree (RFC 6962, 2.1): the perfect subtrees, folded from the right."""
        root = b""
        for edge in self._edges:
            end = len(edge)
            while end:
                start = end & (end - 1)  # the smallest subtree is the rightmost
                subtree = perfect_root(edge[start:end])
                root = node_hash(subtree, root) if root else subtree
                end = start
        return root or EMPTY_ROOT


_PATH = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<number>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


def _encoded(number: int) -> str:
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03}")
    return "/".join(reversed(groups))


def _partial(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"


def _refused(what: str) -> ManifestError:
    return ManifestError(
        f"log: {what}",
        remedy="Restore the folder from a copy, and compare the two.",
        rule="tile",
    )
