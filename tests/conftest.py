"""Fixtures that put virtual tokens in front of a test.

A private pcscd is a must: where it cannot be had, the tests that need it fail with the reason.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import forked
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench

PROGRAMS = Path(sys.executable).parent  # where the stock ykman of this environment is
SHARED_TOKENS = 2
COMMAND_SECONDS = 60.0
MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes; a whole run takes one

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_configure(config: pytest.Config) -> None:
    """What the whole run has in common: where temporary folders lie, and virtual authorities.

    The folders lie in memory, where there is room and nobody said otherwise: tests of what a power
    cut leaves judge the calls that sync, and no disk, so that nothing waits for one. All benches
    have the same authorities, which take more time to make than the rest of a bench.
    """
    if "TMPDIR" not in os.environ and MEMORY.is_dir():
        _clear_killed(MEMORY)
        found = os.statvfs(MEMORY)
        programs_run = not found.f_flag & os.ST_NOEXEC  # tests build some
        if programs_run and found.f_bavail * found.f_frsize >= ROOM:
            os.environ["TMPDIR"] = str(MEMORY)
            tempfile.tempdir = None  # what was chosen before is forgotten
    if ROOTS_FOLDER not in os.environ:  # workers have it from the process that started them
        folder = tempfile.TemporaryDirectory(prefix="roots-")
        os.environ[ROOTS_FOLDER] = f"{folder.name}/roots"
        config.add_cleanup(folder.cleanup)


def _clear_killed(memory: Path) -> None:
    """Remove what runs left there that were killed; pytest itself would keep it for three days."""
    for lock in memory.glob("pytest-of-*/pytest-[0-9]*/.lock"):
        with contextlib.suppress(OSError, ValueError):  # another run clears, too
            if not Path("/proc", str(int(lock.read_text()))).exists():
                shutil.rmtree(lock.parent)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: no garbage collection looks through them again."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the numbers of points and outcomes that tests recorded as their property `faults`."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)]
    told = [lines for one in reports for name, lines in one.user_properties if name == "faults"]
    if told:
        terminalreporter.section("faults met, and how those runs ended")
        for lines in told:
            terminalreporter.write_line("; ".join(lines))


@pytest.fixture(scope="session")
def shared_bench() -> Iterator[VirtualBench]:
    """One private pcscd with two tokens for the whole run; its clients in this process find it."""
    with VirtualBench(tokens=SHARED_TOKENS) as bench, bench.in_environment():
        yield bench


@pytest.fixture
def bench(shared_bench: VirtualBench) -> VirtualBench:
    """Two factory-fresh YubiKeys of firmware 5.7.4, in readers 0 and 1, both plugged in."""
    restore_bench(shared_bench)
    return shared_bench


def restore_bench(bench: VirtualBench) -> None:
    """Bring the shared bench back to fresh tokens that touch at once."""
    control = bench.control
    for line in control.tokens():
        number = int(line["number"])
        if not line["plugged"]:
            control.plug_reader(number)
        serial = 30_000_001 + number
        control.replace(number, model="yubikey-5.7.4", serial=serial)
        control.set_touch(serial, "auto")


@pytest.fixture
def run(bench: VirtualBench) -> Run:
    """Runs a program against the bench: `run("ykman", "list")` gives the finished process.

    Keyword `code` is the exit code expected (0; None: any), `input` what it reads.
    """

    def run(
        *command: str, code: int | None = 0, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])
        done = forked.run(
            command,
            input=input,
            timeout=COMMAND_SECONDS,
            env={**os.environ, **bench.environment, "PATH": path},
        )
        if code is not None and done.returncode != code:
            pytest.fail(f"{' '.join(command)} gave {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    return run


@pytest.fixture
def new_bench() -> Iterator[Callable[..., VirtualBench]]:
    """Starts benches of a test's own, with the arguments of `VirtualBench`; ends them with it."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(VirtualBench(**options))
