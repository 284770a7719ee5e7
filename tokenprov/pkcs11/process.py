"""The process that a module runs in, from without: it is started, asked, ended and started again.

One request at a time. A request that is not answered in its time ends the process; one that died is
started again by the next request, and none is sent twice by itself.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tokenprov.errors import TokenError, TokenRefused
from tokenprov.pkcs11.refusals import refusal

STOPPING = 5.0  # seconds that the process may take to end
ANSWER_LIMIT = 16 * 1024 * 1024  # bytes: more is no answer


class ModuleProcess:
    """Safe for threads: they take turns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._stop()

    def ask(self, doing: str, operation: str, given: Mapping[str, Any], seconds: float) -> Any:
        """What the operation gave. Raises `TokenError`."""
        with self._turn:
            channel, answer = self._running(), None
            channel.settimeout(seconds)
            try:
                channel.sendall(json.dumps({"do": operation, "with": given}).encode() + b"\n")
                answer = json.loads(_line(channel))
            except TimeoutError:
                self._stop(at_once=True)
                self._hung(doing, seconds)
            except (OSError, ValueError):
                self._died(doing)
            finally:
                if answer is None:  # an interrupt: what comes late is no answer to the next one
                    self._stop(at_once=True)
        if not isinstance(answer, Mapping) or "failed" not in answer and "answer" not in answer:
            raise _lied(doing)
        if "failed" in answer:
            raise refusal(doing, str(answer["failed"]), str(answer.get("text", "")))
        return answer["answer"]

    def _running(self) -> socket.socket:
        if self._process is not None and self._channel is not None and self._process.poll() is None:
            return self._channel
        self._stop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tokenprov.pkcs11.worker"),
                    *(str(theirs.fileno()), str(self._path)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._channel = ours
        return ours

    def _stop(self, *, at_once: bool = False) -> int | None:
        """End the process and give its exit code, negative for a signal."""
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if channel is not None:
            channel.close()
        if process is None:
            return None
        if at_once:
            process.kill()
        try:
            return process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _hung(self, doing: str, seconds: float) -> NoReturn:
        raise TokenError(
            f"{doing}: the PKCS#11 module {self._path.name} did not answer within {seconds:.0f} s",
            remedy="It was ended; the next request starts it again. Take the token out and put"
            " it in again; if it stays so, use another module.",
        )

    def _died(self, doing: str) -> NoReturn:
        code = self._stop()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        raise TokenError(
            f"{doing}: the PKCS#11 module {self._path.name} crashed ({how})",
            remedy="It is started again by the next request: run it again, and look at the token"
            " before it is used. If it stays so, use another module.",
        )


def _line(channel: socket.socket) -> bytes:
    """One line. Raises OSError where the other end is gone, ValueError for one too long."""
    parts: list[bytes] = []
    size = 0
    while not parts or not parts[-1].endswith(b"\n"):
        part = channel.recv(65536)
        if not part:
            raise ConnectionResetError
        parts.append(part)
        size += len(part)
        if size > ANSWER_LIMIT:
            raise ValueError("the answer has no end")
    return b"".join(parts)


def _lied(doing: str) -> TokenRefused:
    return TokenRefused(
        f"{doing}: the PKCS#11 module's process gave no answer that makes sense",
        remedy="Run it again; if it stays so, use another module.",
        code=0,
    )
