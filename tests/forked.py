"""Programs in Python, run as `subprocess.run` does, without starting Python for each.

    python -m tests.forked NAME FOLDER      listens at FOLDER/line until its standard input ends

The server has imported the libraries of a program and does nothing else: each of its children is
that program, imported anew, with arguments, environment, folder and channels of its own. Other
programs are started.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A program in Python: its function, modules that are imported before, and packages anew."""

    module: str
    function: str
    before: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()


KNOWN = {
    # it looks at its environment while it is imported
    "ykman": Known(module="ykman._cli.__main__", function="main", anew=("ykman",)),
    "tokenprov": Known(
        module="tokenprov.cli",
        function="main",
        before=tuple(f"tokenprov.cli.{name}" for name in ("batch", "token", "escrow", "manifest")),
    ),
    "pytest": Known(
        module="pytest",
        function="main",
        before=("hwtests.bench",),
        anew=("hwtests", "tests"),  # which it imports in its own way
    ),
}
CHANNELS = ("stdin", "stdout", "stderr")
MESSAGE = 1 << 17  # bytes, at most


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout: float,
    input: str | None = None,
    cwd: Path | None = None,
    merged: bool = False,
    errors: str = "strict",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; `merged`: what it says on both channels is its standard output.

    Raises `subprocess.TimeoutExpired`; the program is ended then.
    """
    with contextlib.ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write((input or "").encode())
        given.seek(0)
        channels = (given, out, out if merged else err)
        if command[0] in KNOWN:
            code = _server(command[0]).run(command, env, cwd or Path.cwd(), channels, timeout)
        else:
            files = dict(zip(CHANNELS, channels, strict=True))
            code = subprocess.run(
                command, env=env, cwd=cwd, timeout=timeout, check=False, **files
            ).returncode
        said = [_text(one, errors) for one in (out, err)]
    return subprocess.CompletedProcess(command, code, *said)


class Server:
    """Client of the server, which ends with it."""

    def __init__(self, name: str) -> None:
        folder = tempfile.TemporaryDirectory(prefix="fork-")
        self._line = f"{folder.name}/line"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", name, folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[1],
        )
        self._end = weakref.finalize(self, _ended, process, folder)
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the server did not start; it said why above")

    def run(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        channels: Sequence[IO[bytes]],
        timeout: float,
    ) -> int:
        """Run it; gives its exit code, minus a signal where that ended it."""
        request = json.dumps({"command": list(command), "env": dict(env), "cwd": str(cwd)})
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE)
            line.connect(self._line)
            socket.send_fds(line, [request.encode()], [one.fileno() for one in channels])
            pid = int(line.recv(MESSAGE))
            line.settimeout(timeout)
            try:
                answer = line.recv(MESSAGE)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError, TimeoutError):
                    os.kill(pid, signal.SIGKILL)
                    line.recv(MESSAGE)  # which ends as it does
                raise subprocess.TimeoutExpired(command, timeout) from None
        return int(answer) if answer else -signal.SIGKILL


@functools.cache
def _server(name: str) -> Server:
    """One for a process and a program, from its first use on."""
    return Server(name)


def _ended(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.communicate()  # its input ends, and so does it
    folder.cleanup()


def _text(file: IO[bytes], errors: str) -> str:
    file.seek(0)
    with open(file.fileno(), encoding="utf-8", errors=errors, closefd=False) as text:
        return text.read()


def serve(known: Known, folder: Path) -> None:
    """Answer requests until the input ends; then end the programs that still run."""
    for module in (known.module, *known.before):
        import_module(module)
    for name in [one for one in sys.modules if one.partition(".")[0] in known.anew]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()
    running: set[int] = set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(folder / "line"))
        listening.listen()
        print("listens", flush=True)
        while sys.stdin not in select.select([sys.stdin, listening], [], [])[0]:
            line, _ = listening.accept()
            message, channels, _, _ = socket.recv_fds(line, MESSAGE, len(CHANNELS))
            pid = os.fork()
            if pid == 0:
                _be_program(known, json.loads(message), channels, line)
            line.close()
            for one in channels:
                os.close(one)
            running.add(pid)
            running -= {one for one in running if os.waitpid(one, os.WNOHANG)[0]}
    for one in running:
        os.kill(one, signal.SIGKILL)


def _be_program(
    known: Known, request: Mapping[str, Any], channels: Sequence[int], line: socket.socket
) -> None:
    """The child: say which it is, run, say how it ended; no end as the server would have it."""
    line.send(str(os.getpid()).encode())
    code: object = 1
    for number, channel in enumerate(channels):
        os.dup2(channel, number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["command"]
    sys.modules["__main__"].__package__ = None  # click names a program by it
    try:
        sys.exit(getattr(import_module(known.module), known.function)())
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):  # words, as Python prints them
            print(code, file=sys.stderr)
            code = 1
    except BaseException:  # noqa: BLE001  whatever it is, the child must not become a server
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        line.send(str(code).encode())
        os._exit(0)


if __name__ == "__main__":
    serve(KNOWN[sys.argv[1]], Path(sys.argv[2]))
