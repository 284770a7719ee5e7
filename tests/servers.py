"""Servers that a test starts on a free port of the loopback, and ends."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 30.0


def free_port() -> int:
    """A port of the loopback that nobody listens on, TCP or UDP."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind((HOST, 0))
        port = int(tcp.getsockname()[1])
        udp.bind((HOST, port))
        return port


@contextmanager
def serving(
    *command: str, port: int, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """Run a server in the foreground while entered, from when it listens on `port`.

    Gives the file that holds what it says. Fails with it where the server ends at once.
    """
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            said = log.read_text(errors="replace")
            assert process.poll() is None, f"{command} ended:\n{said}"
            assert time.monotonic() < deadline, f"{command} does not listen:\n{said}"
            time.sleep(0.02)
        yield log
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
