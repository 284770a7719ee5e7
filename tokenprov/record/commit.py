"""How an append becomes durable, and how a cut-off one is cleared away.

1. `pending` names the files that are about to come, and the size they come after; it is synced
   before any of them is written, so where it is torn none was;
2. blobs, opening, tiles and bundle, under names that the signed checkpoint does not use yet, all
   synced at once;
3. `checkpoint` is replaced: the commit;
4. where another key signed it, `manifest.vkey` is replaced;
5. partial tiles of tiles that became full, and `pending`, are removed without waiting.

Before 3 the log has the old size and key, after it the new: until 4 is done, `pending` has the key.
Five waits for the disk, however many blobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenprov.errors import ManifestError
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
from tokenprov.record.folder import (
    BLOB_PATH,
    CHECKPOINT,
    COSIGNED_PATH,
    OPENING_PATH,
    PENDING,
    VERIFIER_KEY,
    ManifestFolder,
)
from tokenprov.record.note import open_note
from tokenprov.record.tlog import TILE_WIDTH, parse_tile_path
from tokenprov.record.verifier_key import VerifierKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What an append was about to do to a log of `size` entries."""

    size: int = -1
    files: tuple[str, ...] = ()
    key: str = ""  # the verifier key that signs afterwards, where that is another one


def commit(
    folder: Path,
    size: int,
    files: Sequence[NewFile],
    checkpoint: bytes,
    key: VerifierKey | None = None,
) -> None:
    """Add `files` to a log of `size` entries, then make `checkpoint` its head.

    `key` signed it, where that is another one than before. Raises DurabilityError: then it is
    `settle` that tells which of the two heads there is.
    """
    names = [str(file.path.relative_to(folder)) for file in files if not file.path.exists()]
    changed = {"key": str(key)} if key is not None else {}
    pending = canonical({"files": names, "size": size, **changed})
    write_together([NewFile(path=folder / PENDING, data=pending)], sync=sync_each)
    write_together(files)
    write_durable(folder / CHECKPOINT, checkpoint)
    if key is not None:
        _write_key(folder, str(key))
    _tidy(folder, names)


def settle(folder: Path, size: int) -> None:
    """Clear away what a cut-off append left in a log whose checkpoint says `size`."""
    discard(temporary_of(folder / CHECKPOINT))
    pending = read_pending(folder)
    if pending.size != size:
        if 0 <= pending.size < size and pending.key:
            _write_key(folder, pending.key)
        _tidy(folder, pending.files)
        return
    for name in pending.files:
        if OPENING_PATH.fullmatch(name):
            destroy(folder / name)
        else:
            discard(folder / name)
    _tidy(folder, ())


def read_pending(folder: Path) -> Pending:
    """What a cut-off append was about to do; nothing where there is none, or it is torn."""
    try:
        document = parse_canonical((folder / PENDING).read_bytes())
    except (FileNotFoundError, CanonicalError):
        return Pending()
    if not isinstance(document, dict) or document.keys() | {"key"} != {"files", "key", "size"}:
        return Pending()
    size, names, key = document["size"], document["files"], document.get("key", "")
    if type(size) is not int or not isinstance(names, list) or not isinstance(key, str):
        return Pending()
    ours = tuple(name for name in names if isinstance(name, str) and _is_ours(name))
    return Pending(size=size, files=ours, key=key)


def key_in_use(folder: ManifestFolder) -> VerifierKey:
    """The verifier key that signs the log, as it says itself. Raises ManifestError.

    That is `manifest.vkey`, but between two steps of a change of keys that was cut off.
    """
    stored = folder.read(VERIFIER_KEY).decode("utf-8", "replace").removesuffix("\n")
    coming = read_pending(folder.path).key
    if coming:
        try:
            open_note(folder.read(CHECKPOINT), [key := VerifierKey.parse(coming)])
        except ManifestError:
            return VerifierKey.parse(stored)  # the checkpoint is not replaced yet
        return key
    return VerifierKey.parse(stored)


def _write_key(folder: Path, key: str) -> None:
    write_durable(folder / VERIFIER_KEY, f"{key}\n".encode())


def _is_ours(name: str) -> bool:
    patterns = (BLOB_PATH, OPENING_PATH, COSIGNED_PATH)
    return any(p.fullmatch(name) for p in patterns) or parse_tile_path(name) is not None


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
