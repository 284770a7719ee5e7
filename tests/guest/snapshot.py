"""A machine that waits for a command, kept on disk to go on from there as often as wanted.

What it was made from is in its stamp: where that is another now, a machine is started anew and kept
in its place. Its memory is a file that it wrote to while it started; those that go on from it have
it in common, and what they write is their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.guest.machine import BUILD, Machine, hardware
from tests.guest.monitor import MachineError

KEPT = BUILD / "snapshot"
SECONDS = 120.0  # to write what is beside the memory, or read it
MEMORY_APART = [{"capability": "x-ignore-shared", "state": True}]


def start(out: Path) -> Machine:
    """A machine that waits for a command: from what is kept or, where that fails, its disk."""
    if KEPT.exists():
        try:
            return go_on(out)
        except MachineError as error:
            _say(f"it does not go on from {KEPT}, and is started instead: {error}")
            shutil.rmtree(KEPT)
    memory = out / "memory"
    with contextlib.suppress(FileNotFoundError):
        memory.unlink()
    made = Machine(hardware(memory, shared=False), out)
    try:
        made.wait_ready()
    except BaseException:
        made.close()
        raise
    return made


def keep() -> None:
    """Start a machine and keep it, unless what is kept was made from the same."""
    stamp = fingerprint()
    with contextlib.suppress(FileNotFoundError):
        if (KEPT / "stamp").read_text(encoding="utf-8") == stamp:
            return
    begun = time.monotonic()
    new = KEPT.with_name("snapshot.new")
    for folder in (new, KEPT):
        shutil.rmtree(folder, ignore_errors=True)
    new.mkdir()
    machine = Machine(hardware(new / "memory", shared=True), new)
    try:
        machine.wait_ready()
        ask = machine.monitor.ask
        ask("stop")
        ask("migrate-set-capabilities", capabilities=MEMORY_APART)
        ask("migrate", uri=f"exec:cat >'{new / 'devices'}'")
        _wait(machine, "completed")
    except MachineError as error:
        _say(f"no machine can be kept, so each is started: {error}")
        return
    finally:
        machine.close()
    (new / "stamp").write_text(stamp, encoding="utf-8")
    new.rename(KEPT)
    _say(
        f"a machine that waits for a command is kept, after {time.monotonic() - begun:.0f} seconds"
    )


def go_on(out: Path) -> Machine:
    """What is kept, going on. Raises `MachineError`."""
    machine = Machine(hardware(KEPT / "memory", shared=False), out, "-incoming", "defer")
    try:
        ask = machine.monitor.ask
        ask("migrate-set-capabilities", capabilities=MEMORY_APART)
        ask("migrate-incoming", uri=f"exec:cat '{KEPT / 'devices'}'")
        _wait(machine, "completed")
        ask("cont")
    except BaseException:
        machine.close()
        raise
    return machine


def fingerprint() -> str:
    """Of everything that a kept machine is made from."""
    version = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
    )
    parts = [version.stdout, *hardware(Path("memory"), shared=True), str(BUILD)]
    parts.append((BUILD / ".built").read_text(encoding="utf-8"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _wait(machine: Machine, status: str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        now = machine.monitor.ask("query-migrate").get("status", "none")
        if now == status:
            return
        if now in ("failed", "cancelled") or time.monotonic() > deadline:
            raise MachineError(f"what it is made of is not passed on: {now}")
        time.sleep(0.02)


def _say(text: str) -> None:
    sys.stdout.write(f"guest: {text}\n")
    sys.stdout.flush()
