"""Builds the driver of the virtual readers, once for each content.

Two libraries, compiled with the system's C compiler: the IFD handler and the USB bus that the
private pcscd sees. Each is kept in a cache folder under a name that holds the hash of its source
and of how it was compiled; it is made under another name and renamed, so that two builds at once
do no harm.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

IFD_SOURCE = Path(__file__).with_name("tokenprov_ifd.c")
USB_SOURCE = Path(__file__).with_name("tokenprov_usb.c")
HEADERS = Path("/usr/include/PCSC")
FLAGS = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{HEADERS}")
BUILD_SECONDS = 60.0


class SimulatorUnavailable(RuntimeError):
    """Virtual readers cannot be had on this machine; the message says why and what to do."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder for built handlers: under XDG_CACHE_HOME, or ~/.cache (XDG Base Directory)."""
    given = environment.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base / "tokenprov"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The built libraries: the IFD `handler` and the USB `bus` for pcscd."""

    handler: Path
    bus: Path


def build_driver(folder: Path) -> Driver:
    """Give the built libraries in `folder`, compiling what is not there.

    Raises `SimulatorUnavailable` when compiler or headers are missing or compiling fails.
    """
    return Driver(handler=_build(IFD_SOURCE, folder), bus=_build(USB_SOURCE, folder))


def _build(source: Path, folder: Path) -> Path:
    digest = hashlib.sha256(source.read_bytes() + "\0".join(FLAGS).encode()).hexdigest()[:16]
    target = folder / f"{source.stem.replace('_', '-')}-{digest}.so"
    if target.exists():
        return target
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SimulatorUnavailable("no C compiler (cc) to build the reader driver: install gcc")
    if not (HEADERS / "ifdhandler.h").exists():
        raise SimulatorUnavailable(f"{HEADERS}/ifdhandler.h is missing: install libpcsclite-dev")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(suffix=".so", dir=folder)
    except OSError as exc:
        raise SimulatorUnavailable(f"cannot write the driver to {folder}: {exc.strerror}") from exc
    os.close(descriptor)
    made = Path(name)
    try:
        done = subprocess.run(
            [compiler, *FLAGS, "-o", name, str(source)],
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise SimulatorUnavailable(f"the reader driver does not compile:\n{done.stderr}")
        made.chmod(0o755)
        made.replace(target)
    finally:
        made.unlink(missing_ok=True)
    return target
