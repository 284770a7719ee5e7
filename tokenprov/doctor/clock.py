"""The clock: against the hardware's own, and whether anything keeps it right.

A certificate that is valid from tomorrow on, or a manifest that goes back in time, begins here.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tokenprov.doctor.finding import Finding, as_root, bad, doubtful, good

ABOUT = "clock"
HARDWARE = Path("/sys/class/rtc/rtc0/since_epoch")  # seconds; the kernel takes it for UTC
MOST_APART = 60.0  # seconds


def look() -> Iterator[Finding]:
    """Compare, and ask timedatectl."""
    now = time.time()
    try:
        hardware = float(HARDWARE.read_text(encoding="ascii"))
    except (OSError, ValueError):  # not every machine has one
        hardware = None
    if hardware is not None and abs(now - hardware) > MOST_APART and not _says("LocalRTC", "yes"):
        yield bad(
            ABOUT,
            f"it says {_day(now)}, and the hardware's clock {_day(hardware)}",
            as_root("hwclock --hctosys"),
        )
    elif _says("NTPSynchronized", "no"):
        text = f"it says {_day(now)}, and nothing keeps it right"
        yield doubtful(ABOUT, text, as_root("timedatectl set-ntp true"))
    else:
        yield good(ABOUT, f"it says {_day(now)}")


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _says(name: str, value: str) -> bool:
    """Whether systemd says so; what it does not say is not so."""
    if shutil.which("timedatectl") is None:
        return False
    asked = ["timedatectl", "show", "--value", f"--property={name}"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    return said.stdout.strip() == value
