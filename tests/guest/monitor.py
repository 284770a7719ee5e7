"""QEMU's monitor: a command and its answer as a line of JSON each, over a socket (QMP)."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

SECONDS = 60.0  # that it may take for an answer


class MachineError(Exception):
    """The machine did not do what it was asked for, and why."""


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
        said = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(said).encode() + b"\n")
            for line in self._lines:  # events come between
                answer = json.loads(line)
                if "error" in answer:
                    raise MachineError(f"{command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        except OSError as error:
            raise MachineError(f"{command}: {error}") from error
        raise MachineError(f"{command}: the machine has ended")

    def close(self) -> None:
        """Leave it alone."""
        self._lines.close()
        self._socket.close()
