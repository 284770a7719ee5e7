"""A bench of virtual tokens for tests and scripts: a process of its own, used as a context manager.

    with VirtualBench(tokens=2) as bench:
        subprocess.run(["ykman", "list"], env={**os.environ, **bench.environment})
        bench.control.remove(bench.serials[0])

The process holds the tokens and runs the private pcscd. It ends with the `with` block, and also
when the process that started it dies: its standard input is a pipe that closes then.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from tokenprov.sim.control import CONTROL_VARIABLE, SimControl
from tokenprov.sim.ifd.build import SimulatorUnavailable
from tokenprov.sim.models import DEFAULT_MODEL

STOP_SECONDS = 10.0


class VirtualBench:
    """Virtual tokens behind a private pcscd, or with `usb` on the bus of a virtual machine.

    `model` is one for all, or one a token; `touch` and `latency` are the options of
    `python -m tokenprov.sim`; `state` keeps tokens in files. Entering raises
    `SimulatorUnavailable` with the reason where it cannot be had.
    """

    def __init__(
        self,
        *,
        tokens: int = 1,
        model: str | Sequence[str] = DEFAULT_MODEL,
        serial_base: int = 30_000_001,
        touch: str = "auto",
        latency: bool = False,
        state: Path | None = None,
        usb: bool = False,
    ) -> None:
        models = [model] if isinstance(model, str) else list(model)
        self._arguments = ["--tokens", str(tokens), "--serial-base", str(serial_base)]
        self._arguments += ["--touch", touch] + (["--latency"] if latency else [])
        self._arguments += [part for name in models for part in ("--model", name)]
        if state is not None:
            self._arguments += ["--state", str(state)]
        if usb:
            self._arguments += ["--usb"]
        self._process: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}
        self._control: SimControl | None = None

    def __enter__(self) -> VirtualBench:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tokenprov.sim", "serve", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise SimulatorUnavailable("the bench did not start; its process said why above")
        self._environment = json.loads(line)
        self._control = SimControl(self._environment[CONTROL_VARIABLE])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, with its pcscd and its tokens."""
        if self._control is not None:
            self._control.close()
            self._control = None
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    @property
    def pid(self) -> int:
        """The process that holds the tokens."""
        if self._process is None:
            raise RuntimeError("the bench is not running")
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a PC/SC client, and `SimControl`, to this bench."""
        return dict(self._environment)

    @property
    def control(self) -> SimControl:
        """What a person at the bench can do."""
        if self._control is None:
            raise RuntimeError("the bench is not running")
        return self._control

    @property
    def serials(self) -> list[int]:
        """The serials of the tokens that have one, in the order of their readers."""
        return [line["serial"] for line in self.control.tokens() if line["serial"] is not None]

    @contextlib.contextmanager
    def in_environment(self) -> Iterator[None]:
        """Lead the PC/SC clients of this very process to this bench."""
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
