"""The control socket of a bench: JSON lines over a Unix socket, and its client.

A request is one line `{"do": NAME, ...arguments}`; the answer is one line `{"ok": RESULT}` or
`{"error": TEXT}`. The names and their arguments are the public methods of `Simulation`. The socket
has mode 0600: whoever may talk to it may read the tokens' secrets.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from tokenprov.sim.faults import FaultKind
from tokenprov.sim.simulation import Simulation
from tokenprov.sim.specs import BenchError

CONTROL_VARIABLE = "TOKENPROV_SIM_CONTROL"
CLIENT_SECONDS = 30.0


class ControlServer:
    """Offers a simulation on the socket `path`."""

    def __init__(self, path: Path, simulation: Simulation) -> None:
        self.path = path
        self._actions: dict[str, Callable[..., Any]] = {
            action.__name__: action
            for action in (
                simulation.list_tokens,
                simulation.trace,
                simulation.remove,
                simulation.insert,
                simulation.replace,
                simulation.unplug_reader,
                simulation.plug_reader,
                simulation.restart_pcscd,
                simulation.snapshot,
                simulation.restore,
                simulation.set_touch,
                simulation.press,
                simulation.type_slot,
                simulation.fault,
                simulation.clear_faults,
            )
        }
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        os.chmod(path, 0o600)
        self._listener.listen()

    def start(self) -> None:
        """Serve from threads of its own."""
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw", encoding="utf-8") as lines:
            for line in lines:
                try:
                    lines.write(json.dumps(self._answer(line)) + "\n")
                    lines.flush()
                except OSError:
                    return

    def _answer(self, line: str) -> dict[str, Any]:
        try:
            request = json.loads(line)
            action = self._actions[request.pop("do")]
            return {"ok": action(**request)}
        except (BenchError, ValueError) as exc:
            return {"error": str(exc)}
        except (KeyError, TypeError, AttributeError) as exc:
            return {"error": f"not a request: {exc!r}"}


class SimControl:
    """Moves the tokens of a bench about, over its control socket. Usable from several threads.

    Every method raises `BenchError` when the bench refuses, and `OSError` when it is gone. A token
    is named by its serial, or by its reader's number when it has none.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._lock = threading.Lock()
        self._answers, self._requests = self._connected()

    def _connected(self) -> tuple[TextIO, TextIO]:
        """Both ways of the socket, or of a virtual machine's port that leads to it."""
        if Path(self.path).is_char_device():
            port = os.open(self.path, os.O_RDWR)
            return os.fdopen(os.dup(port), encoding="utf-8"), os.fdopen(port, "w", encoding="utf-8")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(CLIENT_SECONDS)
            connection.connect(self.path)  # its files keep it open
            return (
                connection.makefile("r", encoding="utf-8"),
                connection.makefile("w", encoding="utf-8"),
            )

    def close(self) -> None:
        """Hang up."""
        for way in (self._requests, self._answers):
            with contextlib.suppress(OSError):
                way.close()

    def _do(self, action: str, **arguments: Any) -> Any:
        with self._lock:
            self._requests.write(json.dumps({"do": action, **arguments}) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        if not line:
            raise ConnectionError("the bench is gone")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer["ok"]

    def tokens(self) -> list[dict[str, Any]]:
        """Every reader with its token: number, reader, plugged, present, model, serial.

        Also `apdus`, how many it answered since it was made, and `seconds`, what it needed for
        them: its own computing and the latencies of its model.
        """
        found: list[dict[str, Any]] = self._do("list_tokens")
        return found

    def token(self, token: int) -> dict[str, Any]:
        """The line of one token. Raises `BenchError` if there is none."""
        for line in self.tokens():
            if line["serial"] == token or (line["serial"] is None and line["number"] == token):
                return line
        raise BenchError(f"no token {token}")

    def trace(self, token: int) -> list[tuple[int, int]]:
        """The last commands: instruction and status word."""
        return [(ins, sw) for ins, sw in self._do("trace", token=token)]

    def remove(self, token: int) -> None:
        """Pull a token; its reader stays."""
        self._do("remove", token=token)

    def insert(self, token: int) -> None:
        """Put a pulled token back; returns when pcscd has noticed."""
        self._do("insert", token=token)

    def replace(self, reader: int, *, model: str | None = None, serial: int | None = None) -> None:
        """Put a factory-fresh token into a reader, in the place of the one that is in it."""
        self._do("replace", reader=reader, model=model, serial=serial)

    def unplug_reader(self, reader: int) -> None:
        """Pull token and reader at once; returns when pcscd has noticed."""
        self._do("unplug_reader", reader=reader)

    def plug_reader(self, reader: int, *, name: str | None = None) -> None:
        """Plug a pulled reader in again, under another name if one is given."""
        self._do("plug_reader", reader=reader, name=name)

    def restart_pcscd(self) -> None:
        """Kill pcscd and start another."""
        self._do("restart_pcscd")

    def snapshot(self, token: int) -> dict[str, Any]:
        """The whole lasting state of a token."""
        state: dict[str, Any] = self._do("snapshot", token=token)
        return state

    def restore(self, token: int, state: dict[str, Any]) -> None:
        """Give a token the state of a snapshot; it is pulled and put back for that."""
        self._do("restore", token=token, state=state)

    def set_touch(self, token: int, policy: str, *, patience: float = 15.0) -> None:
        """Set when touches come: `auto`, `never` or `after SECONDS`; `patience` in seconds."""
        self._do("set_touch", token=token, policy=policy, patience=patience)

    def press(self, token: int) -> None:
        """Touch a token that blinks."""
        self._do("press", token=token)

    def type_slot(self, token: int, slot: int) -> str:
        """What the keyboard types when OTP slot 1 or 2 is touched."""
        return str(self._do("type_slot", token=token, slot=slot))

    def fault(
        self,
        token: int,
        kind: FaultKind,
        *,
        at: int = 1,
        seconds: float = 0.0,
        ins: int | None = None,
    ) -> None:
        """Have a fault happen at the `at`-th command from now; with `ins`, of that instruction."""
        self._do("fault", token=token, kind=kind.value, at=at, seconds=seconds, ins=ins)

    def clear_faults(self, token: int) -> None:
        """Forget the faults that wait at a token."""
        self._do("clear_faults", token=token)
