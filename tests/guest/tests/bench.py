"""The bench as tests in the guest see it: tokens by their ports, and the kernel's view of each."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from ykman._cli.__main__ import main as ykman_main

from tokenprov.device.usb import UsbToken, usb_tokens
from tokenprov.sim.control import SimControl

OUTSIDER, MEMBER, SEATED = USERS = ("outsider", "member", "seated")
KEY, SECURITY_KEY, OLDER_KEY = range(3)  # the ports
SECONDS = 120.0  # that the machine, which is slow, may take for anything
_SERIALS = itertools.count(32_000_001)


class Bench:
    """What a person at the bench can do, waiting until the kernel has seen it."""

    def __init__(self, control: SimControl) -> None:
        self.control = control

    def serial(self, port: int) -> int:
        """The serial of the token on a port; the port's number where it has none."""
        line = self.control.tokens()[port]
        return port if line["serial"] is None else int(line["serial"])

    def usb(self, port: int) -> UsbToken:
        """The kernel's view of it, once it has all its nodes."""
        found: list[UsbToken] = []

        def there() -> bool:
            found[:] = [one for one in usb_tokens() if one.port.endswith(f"-{port + 1}")]
            return bool(found) and all(node.exists() for node in found[0].nodes)

        wait_for(there)
        shell("udevadm settle")
        return found[0]

    def pull(self, port: int) -> None:
        """Pull it, and wait until the kernel knows."""
        self.control.remove(self.serial(port))
        wait_for(lambda: not any(one.port.endswith(f"-{port + 1}") for one in usb_tokens()))

    def insert(self, port: int) -> UsbToken:
        """Put it back."""
        self.control.insert(self.serial(port))
        return self.usb(port)

    def renew(self, port: int = KEY) -> int:
        """Put a factory-fresh token of the same model in its place; gives its serial."""
        before = self.usb(port).number
        serial = next(_SERIALS)
        self.control.replace(port, serial=serial)
        wait_for(lambda: self.usb(port).number != before)
        self.control.set_touch(self.serial(port), "auto")
        self.usb(port)
        return self.serial(port)


class Operator:
    """Touches come by themselves here; a token is put in again by the bench, on its port."""

    def __init__(self, bench: Bench, port: int) -> None:
        self._bench, self._port = bench, port
        self.asked: list[str] = []

    def touch(self, reader: str, label: str, reason: str) -> nullcontext[None]:
        """Touched at once."""
        self.asked.append(reason)
        return nullcontext()

    @contextmanager
    def reinsert(self, reader: str, label: str, reason: str, seconds: float) -> Iterator[None]:
        """Pull it and put it back, in a thread of its own."""
        self.asked.append(reason)
        thread = self.put_in_again()
        yield
        thread.join()

    def put_in_again(self) -> threading.Thread:
        """Begin it; gives the thread that does it."""

        def again() -> None:
            self._bench.pull(self._port)
            self._bench.insert(self._port)

        thread = threading.Thread(target=again)
        thread.start()
        return thread


def wait_for(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until it holds. Raises `AssertionError` when it does not in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)


def ykman(*arguments: str) -> str:
    """What ykman says, by its own entry point, in a fork: to load it anew takes seconds here.

    Raises `AssertionError` where it fails.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code: object = 1
        try:
            for stream in (1, 2):
                os.dup2(write, stream)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            sys.argv = ["ykman", *arguments]
            try:
                ykman_main()  # type: ignore[no-untyped-call]  # ykman has no types there
            except SystemExit as ended:
                code = ended.code or 0
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code if isinstance(code, int) else 1)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as answer:
        said = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"ykman {' '.join(arguments)}: {status}\n{said}"
    return said


def shell(command: str, code: int = 0, text: str = "") -> str:
    """Run a command as root; its output. Raises `AssertionError` for another exit code."""
    words = ["bash", "-c", command]
    ran = subprocess.run(
        words, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == code, f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout
