"""Running a command and seeing what it cost: wall time, processor time, memory.

Memory is the peak of the resident set (VmHWM in /proc/PID/status), read all the while it runs. The
kernel's `ru_maxrss` will not do: what was resident before `exec` counts in it, which is us.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1e6
LOOK_SECONDS = 0.01  # between looks at the memory
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class CommandFailed(Exception):
    """A command that had to work did not; the message has what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a command, or several one after another, took: seconds, and bytes at the peak."""

    wall: float
    processor: float  # of the command and what it started, in user and kernel
    peak: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            wall=self.wall + other.wall,
            processor=self.processor + other.processor,
            peak=max(self.peak, other.peak),
        )


NOTHING = Cost(wall=0.0, processor=0.0, peak=0)


def peak_memory(pid: int) -> int:
    """The peak of a running process's resident set in bytes; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = _PEAK.search(text)
    return int(found[1]) * 1024 if found else 0


def cost_of(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    expect: Sequence[int] = (0,),
) -> Cost:
    """Run a command in a folder and give what it cost.

    Raises `CommandFailed` when it exits with a code that is not expected.
    """
    said = folder / "said"
    with said.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            cwd=folder,
        )
        peak, ended = 0, threading.Event()

        def look() -> None:
            nonlocal peak
            while not ended.wait(LOOK_SECONDS):
                peak = max(peak, peak_memory(process.pid))

        looking = threading.Thread(target=look)
        looking.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
        finally:
            ended.set()
            looking.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in expect:
        raise CommandFailed(f"{command[0]} gave {process.returncode}:\n{said.read_text()[-2000:]}")
    return Cost(wall=wall, processor=usage.ru_utime + usage.ru_stime, peak=peak)
