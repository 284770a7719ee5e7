"""The bench as tests in the guest see it: tokens by their ports, and the kernel's view of each."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

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
        """The kernel's view of it, once it has all its nodes; udev may still be at them."""
        found: list[UsbToken] = []

        def there() -> bool:
            found[:] = [one for one in usb_tokens() if one.port.endswith(f"-{port + 1}")]
            return bool(found) and all(node.exists() for node in found[0].nodes)

        wait_for(there)
        return found[0]

    def pull(self, *ports: int) -> None:
        """Pull what is there, and wait until the kernel knows."""
        for port in ports:
            self.control.remove(self.serial(port))
        ends = tuple(f"-{port + 1}" for port in ports)
        wait_for(lambda: not any(one.port.endswith(ends) for one in usb_tokens()))

    def insert(self, *ports: int) -> UsbToken:
        """Put them back; gives the first one."""
        for port in ports:
            self.control.insert(self.serial(port))
        return self._settled(*ports)

    def _settled(self, *ports: int) -> UsbToken:
        for port in ports:
            self.usb(port)
        subprocess.run(["udevadm", "settle"], check=True)
        return self.usb(ports[0])

    def renew(self, port: int = KEY) -> int:
        """Put a factory-fresh token of the same model in its place; gives its serial."""
        before = self.usb(port).number
        serial = next(_SERIALS)
        self.control.replace(port, serial=serial)
        wait_for(lambda: self.usb(port).number != before)
        self.control.set_touch(self.serial(port), "auto")
        self._settled(port)
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
        time.sleep(0.1)


def started(function: Callable[[], object], streams: Sequence[int] = ()) -> int:
    """Call it in a process that has loaded what this one has; the process's id.

    To start Python anew takes seconds here. The streams become the standard ones, in their order.
    """
    child = os.fork()
    if child:
        return child
    code: object = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(one, "w", closefd=False) for one in (1, 2))
        try:
            function()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 1)


def ended(child: int) -> int:
    """The exit code of a process that was started here, waited for."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def program(main: Callable[[], object], *words: str | Path) -> Callable[[], None]:
    """That program with those words, by its own entry point."""

    def run() -> None:
        sys.argv = [str(word) for word in words]
        main()

    return run


def told(main: Callable[[], object], *words: str | Path) -> str:
    """What a program says. Raises `AssertionError` where it fails."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said, open(os.devnull) as nothing:
        streams = (nothing.fileno(), said.fileno(), said.fileno())
        code = ended(started(program(main, *words), streams))
        said.seek(0)
        text = said.read()
    assert code == 0, f"{' '.join(map(str, words))}: {code}\n{text}"
    return text


def ykman(*arguments: str) -> str:
    """What ykman says. Raises `AssertionError` where it fails."""
    return told(ykman_main, "ykman", *arguments)


def shell(command: str, code: int = 0, text: str = "") -> str:
    """Run a command as root; its output. Raises `AssertionError` for another exit code."""
    words = ["bash", "-c", command]
    ran = subprocess.run(
        words, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == code, f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout
