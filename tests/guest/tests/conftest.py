"""What the tests in the guest share: the person at the bench, three users, and other programs.

The ports hold a YubiKey 5.7.4, a Security Key and a YubiKey 5.4.3 (tests/guest/__main__.py).
"""

from __future__ import annotations

import json
import os
import pickle
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.guest.tests.bench import SEATED, USERS, Bench, shell, wait_for
from tokenprov.device.usb import usb_tokens
from tokenprov.sim.control import CONTROL_VARIABLE, SimControl

OUT = Path("/tmp/out")  # a folder of the machine outside
T = TypeVar("T")


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """Three tokens on three ports, all plugged in and used by the kernel."""
    control = SimControl(os.environ[CONTROL_VARIABLE])
    made = Bench(control)
    wait_for(lambda: len(usb_tokens()) == 3 and all(one.nodes for one in usb_tokens()))
    yield made
    control.close()


@pytest.fixture(scope="session")
def users() -> dict[str, int]:
    """A member of no group, one who will be, and one who sits at the seat; their user ids.

    The machine has them from its start (units/users.service, units/seat.service).
    """
    Path("/root").chmod(0o755)  # the interpreter may be below it
    wait_for(lambda: SEATED in shell("loginctl --no-legend list-sessions"))
    return {name: pwd.getpwnam(name).pw_uid for name in USERS}


@pytest.fixture
def as_user(users: dict[str, int]) -> Callable[[str, Callable[[], T]], T]:
    """Runs a function in a child process as a user, with the groups that a login would give."""

    def run(name: str, function: Callable[[], T]) -> T:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.initgroups(name, users[name])
                os.setgid(users[name])
                os.setuid(users[name])
                os.write(write, pickle.dumps(function()))
                code = 0
            finally:
                os._exit(code)
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            said = answer.read()
        assert os.waitpid(child, 0)[1] == 0
        result: T = pickle.loads(said)
        return result

    return run


class Seconds:
    """How long each file takes, by which the next run deals them out (tests/guest/__main__.py)."""

    def __init__(self) -> None:
        self._by_file: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a test took, and keep what the machine said, where one failed."""
        file = report.location[0]
        self._by_file[file] = self._by_file.get(file, 0.0) + report.duration
        if report.failed:
            log = subprocess.run(["journalctl", "-b", "--no-pager"], capture_output=True)
            OUT.joinpath(f"journal-{int(time.time())}.txt").write_bytes(log.stdout)

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        text = json.dumps({file: round(took, 1) for file, took in self._by_file.items()})
        OUT.joinpath("seconds.json").write_text(text, encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Have it listen."""
    config.pluginmanager.register(Seconds(), "guest-seconds")
