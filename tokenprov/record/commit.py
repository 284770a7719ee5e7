"""How an append becomes durable, and how a cut-off one is cleared away.

1. `pending` names the files that are about to come, and the size they come after; it is synced
   before any of them is written, so where it is torn none was;
2. blobs, opening, tiles and bundle, under names that the signed checkpoint does not use yet, all
   synced at once;
3. `checkpoint` is replaced: the commit;
4. partial tiles of tiles that became full, and `pending`, are removed without waiting.

Before 3 the log has the old size, after it the new. Five waits for the disk, however many blobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical
from tokenprov.record.files import (
    NewFile,
    destroy,
    discard,
    sync_each,
    temporary_of,
    write_durable,
    write_together,
)
from tokenprov.record.folder import BLOB_PATH, CHECKPOINT, OPENING_PATH, PENDING
from tokenprov.record.tlog import TILE_WIDTH, parse_tile_path


def commit(folder: Path, size: int, files: Sequence[NewFile], checkpoint: bytes) -> None:
    """Add `files` to a log of `size` entries, then make `checkpoint` its head.

    Raises DurabilityError: then it is `settle` that tells which of the two heads there is.
    """
    names = [str(file.path.relative_to(folder)) for file in files if not file.path.exists()]
    pending = canonical({"files": names, "size": size})
    write_together([NewFile(path=folder / PENDING, data=pending)], sync=sync_each)
    write_together(files)
    write_durable(folder / CHECKPOINT, checkpoint)
    _tidy(folder, names)


def settle(folder: Path, size: int) -> None:
    """Clear away what a cut-off append left in a log whose checkpoint says `size`."""
    discard(temporary_of(folder / CHECKPOINT))
    before, names = read_pending(folder)
    if before == size:
        for name in names:
            if OPENING_PATH.fullmatch(name):
                destroy(folder / name)
            else:
                discard(folder / name)
        names = []
    _tidy(folder, names)


def read_pending(folder: Path) -> tuple[int, list[str]]:
    """The size and the files of a cut-off append; (-1, []) where there is none, or it is torn."""
    try:
        document = parse_canonical((folder / PENDING).read_bytes())
    except (FileNotFoundError, CanonicalError):
        return -1, []
    if not isinstance(document, dict) or document.keys() != {"files", "size"}:
        return -1, []
    size, names = document["size"], document["files"]
    if type(size) is not int or not isinstance(names, list):
        return -1, []
    return size, [name for name in names if isinstance(name, str) and _is_ours(name)]


def _is_ours(name: str) -> bool:
    return bool(BLOB_PATH.fullmatch(name) or OPENING_PATH.fullmatch(name) or parse_tile_path(name))


def _tidy(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        tile = parse_tile_path(name)
        if tile is not None and tile.width == TILE_WIDTH:
            partials = folder / f"{name}.p"
            if partials.is_dir():
                for path in partials.iterdir():
                    discard(path)
                partials.rmdir()
    discard(folder / PENDING)
