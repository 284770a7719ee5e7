"""Durable files: every byte that must survive a power cut goes through here.

Rules:
- A file is replaced whole: written beside its place, synced, renamed over it, the folder synced.
  Whatever instant the power fails, the old content or the new is there, never a mixture.
- What was left by a cut-off write has a name that the next write of the same file reuses, never
  its content, and that goes where it is asked for or found to be made (`refuse_there`): it may be a
  secret.
- One writer per path at a time: the station's lock (`lock`) sees to processes, the callers to
  threads.
- Full, read-only and failing disks become `DurabilityError`, which says what to do.

The crash tests cut in at `os.open`, `os.write`, `os.fsync`, `os.link`, `os.replace`, `os.unlink`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tokenprov.errors import DurabilityError, InputError

_REMEDIES = {
    errno.ENOSPC: "Free some space on this disk and run the same command again.",
    errno.EDQUOT: "Raise the quota or free some space, and run the same command again.",
    errno.EROFS: "The file system is read-only: remount it for writing, and run it again.",
    errno.EBUSY: "A disk is mounted there: name a folder on it that is not there yet.",
    errno.EIO: "The disk reports errors: look at dmesg, and move the station home to another disk.",
    errno.EACCES: "Give the user who runs tokenprov the right to write there.",
    errno.EPERM: "Give the user who runs tokenprov the right to write there.",
}

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP)  # of a file system without, as FAT is (link(2))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file to be written together with others; `mode` is its permissions."""

    path: Path
    data: bytes
    mode: int = 0o644


Sync = Callable[[Sequence[Path], Sequence[Path]], None]


def write_durable(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace the file at `path`, or make it; after return it is on the disk.

    Raises DurabilityError; the old content is then still there.
    """
    with explained(path):
        _write_beside(path, data, mode)
        os.replace(temporary_of(path), path)
        _sync_path(path.parent)


def create_durable(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Make a file that must not be there yet, whole or not at all.

    Raises FileExistsError (nothing is changed) and DurabilityError.
    """
    with explained(path):
        _refuse_there(path)
        _write_beside(path, data, mode)
        _name(path)
        discard(temporary_of(path))
        _sync_path(path.parent)


@contextlib.contextmanager
def created_whole(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file that must not be there yet, written in pieces; whole and durable after the block.

    Where the block raises there is none. Raises FileExistsError and DurabilityError.
    """
    with explained(path):
        _refuse_there(path)
        try:
            with open(_open_beside(path, mode), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _name(path)
        finally:
            discard(temporary_of(path))
        _sync_path(path.parent)


def sync_each(paths: Sequence[Path], folders: Sequence[Path]) -> None:
    """Sync files and folders one by one: works everywhere, one disk flush each."""
    for path in (*paths, *folders):
        _sync_path(path)


def sync_at_once(paths: Sequence[Path], folders: Sequence[Path]) -> None:
    """Sync the whole file system of the first folder: one flush for any number of files.

    syncfs(2) reports write errors from Linux 5.8 on; elsewhere each is synced.
    """
    if _SYNCFS is None:
        sync_each(paths, folders)
        return
    descriptor = os.open(folders[0], os.O_RDONLY)
    try:
        if _SYNCFS(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folders[0]))
    finally:
        os.close(descriptor)


def write_together(files: Sequence[NewFile], *, sync: Sync = sync_at_once) -> None:
    """Write files that nothing refers to yet; after return all are on the disk.

    They are written in place, so that a cut-off leaves torn ones: right only for files whose
    names are referred to by something that is written durably afterwards. All on one file system.
    """
    if not files:
        return
    folders: dict[Path, None] = {}
    for file in files:
        with explained(file.path):
            for made in _make_folders(file.path.parent):
                folders[made.parent] = None
            _write(os.open(file.path, _FLAGS | os.O_TRUNC, file.mode), file.data, sync=False)
            folders[file.path.parent] = None
    with explained(files[0].path):
        sync([file.path for file in files], list(folders))


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder and those above it, durably; one that is there stays as it is."""
    with explained(path):
        for made in _make_folders(path, mode):
            _sync_path(made.parent)


def destroy(path: Path) -> None:
    """Overwrite a file, sync, remove it, sync the folder; a missing one is fine.

    On flash the old blocks may outlive this: what must be unreadable is also encrypted. What a
    cut-off write of the same file left is destroyed with it.
    """
    with explained(path):
        removed = False
        for victim in (path, temporary_of(path)):
            try:
                descriptor = os.open(victim, os.O_WRONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                _write_all(descriptor, bytes(os.fstat(descriptor).st_size))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.unlink(victim)
            removed = True
        if removed:
            _sync_path(path.parent)


def discard(path: Path) -> bool:
    """Remove a file without waiting for the disk, True if it was there; a cut may bring it back."""
    with explained(path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True


def clear_left(path: Path) -> None:
    """Remove what a making of that file left beside it when it was cut off."""
    if discard(temporary_of(path)):
        with explained(path):
            _sync_path(path.parent)


def refuse_there(path: Path, remedy: str = "Name a file that is not there yet.") -> None:
    """Raises InputError where a file that is to be made is there; what a making left goes first."""
    clear_left(path)
    if path.exists():
        raise InputError(f"{path} is there already", remedy=remedy)


def temporary_of(path: Path) -> Path:
    """Where a file is written before it is renamed to `path`."""
    return path.with_name(f".{path.name}.new")


def _refuse_there(path: Path) -> None:
    if path.exists():
        clear_left(path)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """What the disk refuses is a DurabilityError, which says what to do."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as exc:
        code = exc.errno or 0
        raise DurabilityError(
            f"{path} could not be made durable: {os.strerror(code)}",
            remedy=_REMEDIES.get(code, "Look at the disk and the path, and run it again."),
        ) from exc


def _open_beside(path: Path, mode: int) -> int:
    """A new file beside `path`: one that is left goes, as it may be another name of `path` itself.

    Where a making was cut off between its link and its unlink, truncating the one empties both.
    """
    temporary = temporary_of(path)
    try:
        return os.open(temporary, _FLAGS | os.O_EXCL, mode)
    except FileExistsError:
        os.unlink(temporary)
        return os.open(temporary, _FLAGS | os.O_EXCL, mode)


def _write_beside(path: Path, data: bytes, mode: int) -> None:
    _write(_open_beside(path, mode), data, sync=True)


def _name(path: Path) -> None:
    """Give what was written beside `path` that name. Raises FileExistsError where it is taken."""
    try:
        os.link(temporary_of(path), path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _refuse_there(path)
        os.replace(temporary_of(path), path)


def _write(descriptor: int, data: bytes, *, sync: bool) -> None:
    try:
        _write_all(descriptor, data)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folders(path: Path, mode: int = 0o755) -> list[Path]:
    if path.is_dir():
        return []
    made = _make_folders(path.parent, mode)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)
        made.append(path)
    return made


def _find_syncfs() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int,)
    return lambda descriptor: int(function(descriptor))


_SYNCFS = _find_syncfs()
