"""The command line, run again and again without starting Python again: a process that forks.

    python -m tests.crash.program       reads requests from standard input, a JSON line each

The server has imported the command line once and has no threads, so that each of its children is
the program as it is after its imports. It has also made a token once, in a home that is gone: what
libraries put off to their first use is done then, and not in each child. A child runs the real
`main`, and may be killed at a point (points.py).
"""

from __future__ import annotations

import atexit
import functools
import gc
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO

from click import Context

from tests.crash.points import Point, Points

SECONDS = 60.0  # for one run; then it hangs
TOKENPROV, LIVE = "tokenprov", "live"  # the programs
UNEXPECTED = 70  # exit code for an error that the program did not expect (sysexits.h)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that has ended: `status` is the exit code, or minus the signal that ended it."""

    status: int
    stdout: str
    stderr: str
    points: tuple[Point, ...]  # those that were passed; the last one is where it was killed

    @property
    def killed(self) -> bool:
        """Whether it killed itself at a point."""
        return self.status == -signal.SIGKILL

    @property
    def said(self) -> str:
        """What it printed, for messages of tests."""
        return f"exit {self.status}\n{self.stdout}{self.stderr}"


class Program:
    """Client of a fork server; `environment` leads its runs to a bench.

    `within` is a command that a server of its own is started by, which ends in running what is
    appended to it. Without one, the server is that of all programs of this process.
    """

    def __init__(self, environment: Mapping[str, str], within: Sequence[str] = ()) -> None:
        self._environment = dict(environment)
        self._within = tuple(within)
        self._process: subprocess.Popen[str] | None = None
        self._number = 0  # of the run that was begun last

    def __enter__(self) -> Program:
        own = {**os.environ, **self._environment}
        self._process = _started(self._within, own) if self._within else _shared()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process, self._process = self._process, None
        if process is not None and self._within:
            process.communicate()  # its input ends, and so does it

    def seen(self, path: Path) -> Path:
        """Where a path of the program's lies for others; it may have disks of its own."""
        return Path(f"/proc/{self._running().pid}/root{path}") if self._within else path

    def trial(self, what: str) -> Run:
        """Try secrets on a token (live.py)."""
        return self._ask(LIVE, what)

    def run(
        self, *arguments: str, stop: Point | None = None, late: float = 0, world: str = ""
    ) -> Run:
        """Run `tokenprov ARGUMENTS` to its end.

        With `stop` it is killed at that point, or `late` seconds after it. `world` names a
        function, as module:name, that changes what is around the program before it begins.
        """
        self.begin(*arguments, stop=stop, late=late, world=world)
        return self.end()

    def begin(
        self, *arguments: str, stop: Point | None = None, late: float = 0, world: str = ""
    ) -> None:
        """Begin a run; `end` waits for it."""
        stopping = (stop.name, stop.turn) if stop is not None else None
        request = {"program": TOKENPROV, "arguments": arguments, "stop": stopping}
        self._tell({**request, "late": late, "world": world})

    def _ask(self, program: str, *arguments: str) -> Run:
        request = {"program": program, "arguments": arguments, "stop": None}
        self._tell({**request, "late": 0, "world": ""})
        return self.end()

    def _tell(self, request: Mapping[str, object]) -> None:
        incoming = self._running().stdin
        assert incoming is not None
        self._number = next(_numbers)
        environment = None if self._within else {**os.environ, **self._environment}
        request = {**request, "number": self._number, "environment": environment}
        incoming.write(json.dumps(request) + "\n")
        incoming.flush()

    def end(self) -> Run:
        """Wait for the run that was begun."""
        outgoing = self._running().stdout
        assert outgoing is not None
        answer = {"number": 0}
        while answer.pop("number") != self._number:  # one that nobody waited for comes before it
            line = outgoing.readline()
            if not line:
                raise RuntimeError("the program's server has ended; it said why above")
            answer = json.loads(line)
        points = [json.loads(line) for line in answer.pop("points").splitlines()]
        return Run(
            points=tuple(
                Point(name=name, turn=turn, unsynced=tuple(unsynced))
                for name, turn, unsynced in points
            ),
            **answer,
        )

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the program's server is not running")
        return self._process


_numbers = itertools.count(1)


def _started(within: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*within, sys.executable, "-m", "tests.crash.program"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        env=environment,
    )


@functools.cache
def _shared() -> subprocess.Popen[str]:
    """The server of this process, from its first use on."""
    process = _started((), os.environ)
    atexit.register(process.communicate)  # its input ends, and so does it
    return process


def serve() -> None:
    """Answer requests until the input ends."""
    from tests.crash import live  # here, so that the client does without them
    from tests.in_process import Desk
    from tokenprov.cli.main import cli, main

    for command in cli.list_commands(Context(cli)):  # which `main` loads only when one is called
        cli.get_command(Context(cli), command)
    with tempfile.TemporaryDirectory() as folder:
        Desk(Path(folder), "yubikey-5.7.4").run('extends = "standard-employee"')
    gc.collect()
    gc.freeze()

    programs = {TOKENPROV: main, LIVE: live.main}

    for line in sys.stdin:
        request = json.loads(line)
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            tempfile.TemporaryFile() as told,
        ):
            pid = os.fork()
            if pid == 0:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                if request["environment"] is not None:
                    os.environ.clear()
                    os.environ.update(request["environment"])
                stop = tuple(request["stop"]) if request["stop"] else None
                points = Points(told.fileno(), stop, request["late"])
                program = programs[request["program"]]
                _be_program(program, request["arguments"], points, request["world"])
            answer = {
                "number": request["number"],
                "status": _wait(pid),
                "stdout": _text(out),
                "stderr": _text(err),
                "points": _text(told),
            }
        print(json.dumps(answer), flush=True)


def _be_program(
    main: Callable[[], None], arguments: Sequence[str], points: Points, world: str
) -> None:
    """The child: run, and leave without what the server would do at its end."""
    code = UNEXPECTED
    sys.argv = ["tokenprov", *arguments]
    try:
        if world:
            module, _, name = world.partition(":")
            getattr(import_module(module), name)()
        points.install()
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  whatever it is, the child must not become a server
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        points.passed("end")
        os._exit(code)


def _wait(pid: int) -> int:
    descriptor = os.pidfd_open(pid)
    try:
        if not select.select([descriptor], [], [], SECONDS)[0]:
            os.kill(pid, signal.SIGABRT)
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    serve()
