"""Programs in Python that start at once in the guest, where to load their modules takes seconds.

In place of the program lies a script that hands its words, environment, folder and standard streams
to a process that has loaded what the program needs; a fork of that runs the program's own entry.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.guest.tests.bench import ended, program, started

SOCKET = Path("/run/warm")
LONGEST = 1 << 20  # bytes of what is asked, an environment among it
SCRIPT = f"""#!{sys.executable} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({str(SOCKET)!r})
    said = {{"words": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ)}}
    socket.send_fds(asked, [json.dumps(said).encode() + b"\\n"], [0, 1, 2])
    sys.exit(int(asked.recv(16)))
"""


def keep_warm(programs: Mapping[Path, Callable[[], object]]) -> None:
    """Put a script in place of each, and have a process run them that ends with the machine."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(SOCKET))
    listening.listen()
    for path in programs:
        path.write_text(SCRIPT, encoding="utf-8")
        path.chmod(0o755)
    mains = {path.name: main for path, main in programs.items()}
    started(partial(_serve, listening, mains))
    listening.close()


def _serve(listening: socket.socket, mains: Mapping[str, Callable[[], object]]) -> None:
    while True:
        asked, _ = listening.accept()
        started(partial(_answer, asked, mains))
        asked.close()


def _answer(asked: socket.socket, mains: Mapping[str, Callable[[], object]]) -> None:
    """Run what one script asks for; its exit code is the answer."""
    said, streams, _, _ = socket.recv_fds(asked, LONGEST, 3)
    while not said.endswith(b"\n"):
        said += asked.recv(LONGEST)
    task = json.loads(said)
    words = task["words"]

    def become() -> None:
        asked.close()
        os.chdir(task["folder"])
        os.environ.clear()
        os.environ.update(task["environment"])
        program(mains[Path(words[0]).name], *words)()

    code = ended(started(become, streams))
    asked.sendall(str(code).encode())
