"""Who may write: a home or a folder held by one process, and turns for moments (flock(2)).

The system lets go when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tokenprov.errors import StationBusy
from tokenprov.record.files import explained


class StationLock:
    """Holds a station home for one process; the system lets go when the process ends, however."""

    def __init__(self, home: Path, name: str = "lock") -> None:
        self._path = home / name
        self._descriptor = -1

    def __enter__(self) -> StationLock:
        """Take the lock. Raises StationBusy with the pid of the holder, or DurabilityError."""
        with explained(self._path):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                written = os.pread(descriptor, 32, 0).strip()
                os.close(descriptor)
                pid = int(written) if written.isdigit() else None
                raise StationBusy(
                    f"the station home {self._path.parent} is in use by process {pid or 'unknown'}",
                    remedy="Wait until that command ends, or end it; then run this one again.",
                    pid=pid,
                ) from exc
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for other processes to be done with what a lock file stands for; then it is ours.

    For moments: who waits is not told by whom. The system lets go when the process ends, however.
    Raises DurabilityError.
    """
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder that is being made, so that nobody takes it for one that was cut off."""
    with explained(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # NFS locks no folders: it is told by `is_held`
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool | None:
    """Whether a process holds that folder; None where the file system locks no folders."""
    with explained(folder):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # it was done meanwhile, or cleared away
            return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
