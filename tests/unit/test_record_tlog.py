"""The tree and its proofs, against RFC 6962's own definition and its reference vectors."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenprov.errors import ManifestError
from tokenprov.record.proof import Prover, verify_consistency, verify_inclusion
from tokenprov.record.tlog import (
    EMPTY_ROOT,
    RightEdge,
    Tile,
    bundle_path,
    leaf_hash,
    pack_bundle,
    parse_tile_path,
    tile_width,
    tiles_of,
    unpack_bundle,
)

# Inputs and roots of the certificate-transparency reference implementation (merkletree tests).
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def plain_root(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962, 2.1 writes it down."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    left, right = plain_root(leaves[:middle]), plain_root(leaves[middle:])
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree in memory, with the tiles of its present size."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.tiles: dict[Tile, bytes] = {}
        self.edge = RightEdge()
        for leaf in leaves:
            self.tiles |= self.edge.append(leaf_hash(leaf))
        self.tiles |= self.edge.partial()

    def read(self, level: int, number: int, width: int) -> bytes:
        return self.tiles[Tile(level, number, width)]


def leaves_of(size: int) -> list[bytes]:
    """That many entries, all different."""
    return [f"entry {i}".encode() for i in range(size)]


def test_reference_roots() -> None:
    """Growing by one gives the published root at each size."""
    edge = RightEdge()
    assert edge.root() == EMPTY_ROOT
    for leaf, root in zip(CT_LEAVES, CT_ROOTS, strict=True):
        edge.append(leaf_hash(leaf))
        assert edge.root().hex() == root


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 700, 65536 + 300])
def test_tiles_and_root(size: int) -> None:
    """The tiles written are exactly those of the tree's size, and the root is the plain one."""
    leaves = leaves_of(size)
    tree = Tree(leaves)
    assert sorted(tree.tiles) == sorted(tiles_of(size))
    assert all(len(data) == 32 * tile.width for tile, data in tree.tiles.items())
    assert tree.edge.root() == plain_root(leaves)
    again = RightEdge.read(size, tree.read)
    assert again.root() == tree.edge.root()
    assert again.partial() == tree.edge.partial()


def test_tiles_of_seventy_thousand() -> None:
    """The example of tlog-tiles: 273 full tiles, then 112; one full, then 17; then 1."""
    widths: dict[int, list[int]] = {}
    for tile in tiles_of(70_000):
        widths.setdefault(tile.level, []).append(tile.width)
    assert widths == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}


def test_read_edge_continues() -> None:
    """An edge read back from tiles grows on as if it had never been put down."""
    tree = Tree(leaves_of(300))
    edge = RightEdge.read(300, tree.read)
    tiles = dict(tree.tiles)
    for leaf in leaves_of(600)[300:]:
        tiles |= edge.append(leaf_hash(leaf))
    tiles |= edge.partial()
    grown = Tree(leaves_of(600))
    assert edge.root() == grown.edge.root()
    assert all(tiles[tile] == data for tile, data in grown.tiles.items())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_proofs(data: st.DataObject) -> None:
    """Every proof verifies, and not for another leaf, index, size or root."""
    size = data.draw(st.integers(1, 600))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    leaves = leaves_of(size)
    tree = Tree(leaves)
    prover = Prover(size, tree.read)
    root = plain_root(leaves)
    path = prover.inclusion(index)
    leaf = leaf_hash(leaves[index])
    assert verify_inclusion(leaf, index, size, path, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, path, root)
    assert not verify_inclusion(leaf, index, size, [*path, root], root)
    assert not verify_inclusion(leaf, index, size, path, leaf_hash(b""))
    assert not verify_inclusion(leaf, size, size, path, root)
    for other in {0, index ^ 1, size - 1} - {index}:
        assert not verify_inclusion(leaf, other, size, path, root)
    old_root = plain_root(leaves[:old])
    assert prover.root(old) == old_root
    proof = prover.consistency(old)
    assert verify_consistency(old, old_root, size, root, proof)
    assert not verify_consistency(old, leaf_hash(b"fork"), size, root, proof)
    assert not verify_consistency(old, old_root, size, leaf_hash(b"fork"), proof)
    assert not verify_consistency(old, old_root, size, root, [*proof, root])
    if old < size:
        assert not verify_consistency(old + 1, old_root, size, root, proof)
        earlier = prover.inclusion(0, old)
        assert verify_inclusion(leaf_hash(leaves[0]), 0, old, earlier, old_root)


def test_proof_outside() -> None:
    """There is no proof for an entry or a tree that is not there."""
    prover = Prover(3, Tree(leaves_of(3)).read)
    for index in (-1, 3):
        with pytest.raises(ValueError, match="no entry"):
            prover.inclusion(index)
    for old in (0, 4):
        with pytest.raises(ValueError, match="no tree"):
            prover.consistency(old)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 1234067, 256), "tile/0/x001/x234/067"),  # the example of tlog-tiles
        (Tile(1, 999, 17), "tile/1/999.p/17"),
        (Tile(12, 1000, 1), "tile/12/x001/000.p/1"),
    ],
)
def test_tile_paths(tile: Tile, path: str) -> None:
    """A tile's file is named as tlog-tiles says, and the name leads back."""
    assert tile.path == path
    assert parse_tile_path(path) == tile


def test_bundle_paths() -> None:
    """Bundles are named like tiles, under `entries`."""
    assert bundle_path(1234067, 8) == "tile/entries/x001/x234/067.p/8"
    assert parse_tile_path("tile/entries/x001/x234/067.p/8") == Tile(-1, 1234067, 8)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/00/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/000/",
        "tile/x/000",
        "tile/0/\u0660\u0660\u0660",
        "../tile/0/000",
    ],
)
def test_other_paths(path: str) -> None:
    """A second spelling of a tile's name is none."""
    assert parse_tile_path(path) is None


def test_tile_width() -> None:
    """Widths follow floor(size / 256^level) mod 256."""
    assert [tile_width(70_000, level, n) for level, n in [(0, 273), (1, 1), (2, 0), (0, 274)]] == [
        112,
        17,
        1,
        0,
    ]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_bundles(entries: list[bytes]) -> None:
    """A bundle gives back its entries, empty ones too."""
    assert unpack_bundle(pack_bundle(entries)) == entries


def test_bundle_refusals() -> None:
    """Too long an entry is not packed; a cut-off bundle is not read."""
    with pytest.raises(ManifestError, match="65535"):
        pack_bundle([bytes(65_536)])
    whole = pack_bundle([b"abc", b"defg"])
    for end in (1, 4, 6, len(whole) - 1):
        with pytest.raises(ManifestError, match="cut off"):
            unpack_bundle(whole[:end])
