"""The disk that the station home is on: room, whether it can be written, and who may read it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from tokenprov.doctor.finding import Finding, as_root, bad, doubtful, good

ABOUT, RIGHTS = "disk", "rights of the station home"
LEAST_FREE = 200_000_000  # bytes; a batch of a thousand tokens needs a tenth of it
OTHERS = 0o077


def look(home: Path) -> Iterator[Finding]:
    """Look at the home, or at where it would be made."""
    place = home.absolute()
    while not _is_there(place):
        place = place.parent
    mount = place
    while not mount.is_mount():
        mount = mount.parent
    free = shutil.disk_usage(place).free
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        yield bad(
            ABOUT,
            f"{mount} is mounted read-only",
            as_root(f"mount -o remount,rw {quote(str(mount))}"),
        )
    elif free < LEAST_FREE:
        room = f"{free // 1_000_000} MB are free on {mount}"
        yield bad(ABOUT, room, f"du -xhd2 {quote(str(mount))} | sort -h | tail")
    else:
        yield good(ABOUT, f"{free // 1_000_000} MB are free on {mount}")
    if _is_there(home) is None:
        yield bad(RIGHTS, f"this user may not look at {home}", f"namei -l {quote(str(home))}")
        return
    if not home.exists():
        return
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        mend = as_root(f"chown -R {os.geteuid()} {quote(str(home))}")
        yield bad(RIGHTS, f"this user may not write {home}", mend)
    elif home.stat().st_mode & OTHERS:
        yield doubtful(RIGHTS, f"others may look into {home}", f"chmod go= {quote(str(home))}")
    else:
        yield good(RIGHTS, f"{home} is its owner's alone")


def _is_there(place: Path) -> bool | None:
    """Whether there is such a file or folder; None where this user may not look."""
    try:
        return place.exists()
    except PermissionError:
        return None
