"""A disk that can be full: a tmpfs over one folder, in a mount namespace that only one program has.

Needs no root, and hides the folder from nobody else.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096  # bytes that a tmpfs gives at a time
MEGABYTES = 48
FILLER = "filler"
_MOUNTED = f'mount -t tmpfs -o size={MEGABYTES}m,mode=700 none "$0" && exec "$@"'


def with_disk(folder: Path) -> tuple[str, ...]:
    """The command that runs what is appended to it, with a disk of its own over that folder."""
    return ("unshare", "-r", "-m", "sh", "-c", _MOUNTED, str(folder))


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk, by the folder that others see it at."""

    folder: Path

    def fill(self, left: int) -> None:
        """Take all room but so many pages."""
        filler = self.folder / FILLER
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(64 * PAGE))
        size = filler.stat().st_size // PAGE * PAGE
        os.truncate(filler, max(0, size - left * PAGE))

    def free(self) -> None:
        """Give the room back."""
        (self.folder / FILLER).unlink(missing_ok=True)
