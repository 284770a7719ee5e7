"""Inclusion and consistency proofs: made from tiles, checked from bytes.

Standard: RFC 6962, 2.1.1 and 2.1.2 for what a proof holds; RFC 9162, 2.1.3.2 and 2.1.4.2 for how
one is checked. Making one reads a tile for each eight levels on each side, never an entry.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenprov.record.tlog import (
    EMPTY_ROOT,
    TILE_HEIGHT,
    TILE_WIDTH,
    ReadTile,
    node_hash,
    perfect_root,
    split_hashes,
    tile_width,
)


class Prover:
    """Makes proofs for a tree of `size` entries; every tile is read once."""

    def __init__(self, size: int, read_tile: ReadTile) -> None:
        self.size = size
        self._read_tile = read_tile
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def root(self, size: int | None = None) -> bytes:
        """The root of the tree as it was with `size` entries; of the whole one by default."""
        size = self.size if size is None else size
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The audit path of an entry (RFC 6962, 2.1.1). ValueError for an index outside."""
        size = self.size if size is None else size
        if not 0 <= index < size <= self.size:
            raise ValueError(f"no entry {index} in a tree of {size}")
        path: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, old: int, size: int | None = None) -> list[bytes]:
        """The proof that the tree of `old` entries is the beginning (RFC 6962, 2.1.2)."""
        size = self.size if size is None else size
        if not 0 < old <= size <= self.size:
            raise ValueError(f"no tree of {old} in one of {size}")
        path: list[bytes] = []
        low, high = 0, size
        whole = True  # the old tree begins where this subtree does
        while high != old:
            middle = low + _split(high - low)
            if old <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
                whole = False
        if not whole:
            path.append(self._range(low, high))
        return path[::-1]

    def _range(self, low: int, high: int) -> bytes:
        count = high - low
        if count & (count - 1) == 0:
            return self._perfect(count.bit_length() - 1, low)
        middle = low + _split(count)
        return node_hash(self._range(low, middle), self._range(middle, high))

    def _perfect(self, height: int, first: int) -> bytes:
        level, rest = divmod(height, TILE_HEIGHT)
        number, offset = divmod(first >> (TILE_HEIGHT * level), TILE_WIDTH)
        key = (level, number)
        if key not in self._tiles:
            width = tile_width(self.size, level, number)
            self._tiles[key] = split_hashes(self._read_tile(level, number, width))
        return perfect_root(self._tiles[key][offset : offset + (1 << rest)])


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether the path leads from a leaf hash to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last = index, size - 1
    result = leaf
    for step in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(step, result)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            result = node_hash(result, step)
        node >>= 1
        last >>= 1
    return last == 0 and result == root


def verify_consistency(
    old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether the tree of `old` entries is the beginning of the other (RFC 9162, 2.1.4.2)."""
    if old == size:
        return not path and old_root == root
    if not 0 < old < size or not path:
        return False
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    node, last = old - 1, size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old_result = result = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_result = node_hash(step, old_result)
            result = node_hash(step, result)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            result = node_hash(result, step)
        node >>= 1
        last >>= 1
    return last == 0 and old_result == old_root and result == root


def _split(count: int) -> int:
    """The largest power of two below `count` (RFC 6962, 2.1)."""
    return 1 << ((count - 1).bit_length() - 1)
