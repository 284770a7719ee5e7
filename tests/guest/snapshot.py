"""Machines that wait, kept on disk to go on from there as often as wanted.

One waits for the checkout, and one, that went on from it, has loaded it and waits for a command.
What each was made from is in its stamp: where that is another now, one is made anew and kept in its
place. Its memory is a file that it wrote to until then; those that go on from it have it in common,
and what they write is their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.guest.machine import BUILD, READY, WAITS, Machine, hardware, with_code
from tests.guest.monitor import MachineError

WAITING, LOADED = BUILD / "kept/waiting", BUILD / "kept/loaded"
SECONDS = 120.0  # to write what is beside the memory, or read it
MEMORY_APART = [{"capability": "x-ignore-shared", "state": True}]


def start(out: Path) -> Machine:
    """A machine that waits for a command: from what is kept or, where that fails, its disk."""
    if LOADED.exists():
        try:
            own = hardware(LOADED / "memory", shared=False)
            return _go_on(LOADED, [*own, *with_code()], out)
        except MachineError as error:
            _say(f"it does not go on from {LOADED}, and is started instead: {error}")
            shutil.rmtree(LOADED)
    memory = out / "memory"
    memory.unlink(missing_ok=True)
    made = _there(Machine(hardware(memory, shared=False), out), WAITS)
    made.plug_code()
    return _there(made, READY)


def keep() -> None:
    """Keep both, unless what is kept was made from what is there now."""
    stamp = _made_from()
    code = (BUILD / ".code").read_text(encoding="utf-8")
    try:
        _keep(WAITING, stamp, _booted)
        _keep(LOADED, stamp + code, _loaded)
    except MachineError as error:
        _say(f"no machine can be kept, so each is started: {error}")


def _keep(kept: Path, stamp: str, make: Callable[[Path], Machine]) -> None:
    """What `make` gives, its memory in the folder that it is given, unless it is there already."""
    with contextlib.suppress(FileNotFoundError):
        if (kept / "stamp").read_text(encoding="utf-8") == stamp:
            return
    begun = time.monotonic()
    new = kept.with_name(f"{kept.name}.new")
    for folder in (new, kept):
        shutil.rmtree(folder, ignore_errors=True)
    new.mkdir(parents=True)
    machine = make(new)
    try:
        ask = machine.monitor.ask
        ask("stop")
        ask("migrate-set-capabilities", capabilities=MEMORY_APART)
        ask("migrate", uri=f"exec:cat >'{new / 'devices'}'")
        _wait(machine, "completed")
    finally:
        machine.close()
    (new / "stamp").write_text(stamp, encoding="utf-8")
    new.rename(kept)
    _say(f"a machine is kept, {kept.name}, after {time.monotonic() - begun:.0f} seconds")


def _booted(new: Path) -> Machine:
    return _there(Machine(hardware(new / "memory", shared=True), new), WAITS)


def _loaded(new: Path) -> Machine:
    memory = new / "memory"
    subprocess.run(["cp", "--sparse=always", WAITING / memory.name, memory], check=True)
    machine = _go_on(WAITING, hardware(memory, shared=True), new)
    machine.plug_code()
    return _there(machine, READY)


def _there(machine: Machine, said: str) -> Machine:
    """The machine, when it has said that."""
    try:
        machine.wait(said)
    except BaseException:
        machine.close()
        raise
    return machine


def _go_on(kept: Path, hardware: list[str], out: Path) -> Machine:
    """What is kept, going on. Raises `MachineError`."""
    machine = Machine(hardware, out, "-incoming", "defer")
    try:
        ask = machine.monitor.ask
        ask("migrate-set-capabilities", capabilities=MEMORY_APART)
        ask("migrate-incoming", uri=f"exec:cat '{kept / 'devices'}'")
        _wait(machine, "completed")
        ask("cont")
    except BaseException:
        machine.close()
        raise
    return machine


def _made_from() -> str:
    """The digest of everything that a machine without the checkout is made from."""
    version = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
    )
    parts = [version.stdout, *hardware(Path("memory"), shared=True), *with_code(), str(BUILD)]
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
