"""QEMU's monitor: a command and its answer as a line of JSON each, over a socket (QMP)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SECONDS = 60.0  # that it may take for an answer


class MachineError(Exception):
    """The machine did not do what it was asked for, and why."""


def ask(
    lines: Iterable[str], send: Callable[[bytes], object], command: str, **arguments: Any
) -> Any:
    """The answer to a command. Raises `MachineError` where it is refused, or none comes."""
    send(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
    for line in lines:  # events come between
        answer = json.loads(line)
        if "error" in answer:
            raise MachineError(f"{command}: {answer['error']['desc']}")
        if "return" in answer:
            return answer["return"]
    raise MachineError(f"{command}: the machine has ended")


class Monitor:
    """The monitor of one machine, connected to as soon as it listens."""

    def __init__(self, path: Path) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(SECONDS)
            try:
                self._socket.connect(str(path))
                break
            except OSError as error:
                self._socket.close()
                if time.monotonic() > deadline:
                    raise MachineError(f"QEMU's monitor does not answer: {error}") from error
                time.sleep(0.02)
        self._lines = self._socket.makefile(encoding="utf-8")
        self._lines.readline()  # its greeting
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Its answer. Raises `MachineError` where it refuses, or is gone."""
        try:
            return ask(self._lines, self._socket.sendall, command, **arguments)
        except OSError as error:
            raise MachineError(f"{command}: {error}") from error

    def close(self) -> None:
        """Leave it alone."""
        self._lines.close()
        self._socket.close()
