"""In the guest: a Python that has loaded what a run needs, and waits for a command.

It loads what is other people's, says so on the console, and waits for a disk with this checkout;
loads ours from there, and says so. Each time the machine may be stopped and kept, to go on from
there as often as it is wanted (tests/guest/snapshot.py). What differs from run to run is plugged in
after that, so it is looked for here: the folder of the run, and three ports. By `command` comes one
line of JSON; `output` takes what the command writes, `exit` its code.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import struct
import sys
import time
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from typing import Any

PORTS = "/dev/virtio-ports/tokenprov"
MODULES = Path(__file__).with_name("modules")  # their names, one a line (tests/guest/modules.py)
CONSOLE = Path("/dev/console")
WAITS, READY = "guest: waits for a checkout\n", "guest: ready\n"
DISK = "/dev/vdb"
CODE = Path("/run/code")
OUT = Path("/tmp/out")
MS_RDONLY, MS_BIND = 1, 4096  # <sys/mount.h>
RNDADDENTROPY, RNDRESEEDCRNG = 0x40085203, 0x5207  # <linux/random.h>
SHORTLY = 0.02  # seconds
PLUG_SECONDS = 60.0
libc = ctypes.CDLL(None, use_errno=True)


def load_foreign() -> None:
    """Import what can be; a module that is missing is told by whoever needs it."""
    for name in MODULES.read_text(encoding="utf-8").split():
        with suppress(ImportError):
            importlib.import_module(name)


def load_ours(checkout: Path) -> None:
    """Have the checkout, as it is on its disk, where it is on the machine outside; import it."""
    await_node(Path(DISK))
    mount(DISK, CODE, "squashfs", MS_RDONLY)
    for one in CODE.iterdir():
        if not one.is_dir():
            checkout.joinpath(one.name).touch()
        mount(str(one), checkout / one.name, "", MS_BIND)
    sys.path.insert(0, str(checkout))
    importlib.invalidate_caches()
    modules = importlib.import_module("tests.guest.modules")
    modules.load(modules.used())
    gc.collect()
    gc.freeze()  # what is forked shares it


def await_node(path: Path) -> None:
    """Wait until what it stands for is plugged in."""
    while not path.exists():
        time.sleep(SHORTLY)


def asked() -> dict[str, Any]:
    """What is to be done, when the port is there and somebody at its other end."""
    path = Path(f"{PORTS}.command")
    await_node(path)
    with path.open("rb", buffering=0) as port:
        said = b""
        while not said.endswith(b"\n"):
            more = port.read(65536)
            if not more:
                time.sleep(SHORTLY)
            said += more or b""
    task: dict[str, Any] = json.loads(said)
    return task


def mount(what: str, where: Path, kind: str, flags: int, options: str = "") -> None:
    """Mount it, as soon as it is plugged in; mount(8) takes a tenth of a second each time."""
    if not where.exists():
        where.mkdir(parents=True)
    words = [os.fsencode(word) for word in (what, where, kind)]
    deadline = time.monotonic() + PLUG_SECONDS
    while libc.mount(*words, flags, os.fsencode(options)):
        if time.monotonic() > deadline:
            raise OSError(ctypes.get_errno(), f"{what} is not mounted on {where}")
        time.sleep(SHORTLY)


def come_to_the_present(task: dict[str, Any]) -> None:
    """The time of day, randomness that no other machine has, the folder of the run."""
    time.clock_settime(time.CLOCK_REALTIME, task["time"])
    seed = bytes.fromhex(task["seed"])
    with Path("/dev/urandom").open("wb") as pool:
        ioctl(pool, RNDADDENTROPY, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
        ioctl(pool, RNDRESEEDCRNG)
    mount("out", OUT, "9p", 0, "trans=virtio,version=9p2000.L,msize=262144")


def become(argv: list[str], environment: dict[str, str]) -> None:
    """Be that program until it ends: `python -m MODULE …` goes on from what is loaded."""
    os.environ.clear()
    os.environ.update(environment)
    if argv[:2] != ["python", "-m"]:
        os.execvp(argv[0], argv)
    sys.argv = argv[2:]
    runpy.run_module(argv[2], run_name="__main__", alter_sys=True)


def run(argv: list[str], environment: dict[str, str]) -> int:
    """Its exit code, when it has ended; what it writes goes to the port.

    The child does not come back from here: it ends as a program does.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF
    output = os.open(f"{PORTS}.output", os.O_WRONLY)
    for stream, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), output, output)):
        os.dup2(descriptor, stream)
    os.closerange(3, output + 1)
    become(argv, environment)
    sys.exit()


def main() -> None:
    """Wait for the command, and give back its code."""
    load_foreign()
    CONSOLE.write_text(WAITS, encoding="utf-8")
    load_ours(Path.cwd())
    CONSOLE.write_text(READY, encoding="utf-8")
    task = asked()
    come_to_the_present(task)
    code = run(task["argv"], task["environment"])
    Path(f"{PORTS}.exit").write_text(f"{code}\n", encoding="utf-8")
    time.sleep(task["seconds"])  # what is written there must not be lost with it


if __name__ == "__main__":
    main()
