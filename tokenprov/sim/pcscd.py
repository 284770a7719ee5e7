"""A private pcscd: the real PC/SC service, in a mount namespace of its own.

It sees the virtual USB bus (bus.py) and nothing else: its run folder is bound over /run/pcscd, the
folder with our driver over the one of USB drivers, its reader.conf is empty and its libudev is
ours, so that it neither finds nor disturbs the station's own readers. Clients find it by
PCSCLITE_CSOCK_NAME. It needs no root where user namespaces are allowed; root does without them.

Rules: it never outlives the process that started it (PR_SET_PDEATHSIG, set after the namespace is
entered, because entering one clears it); the thread that starts it lives as long as it does,
because that signal follows the thread. It is stopped by its process id.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

from tokenprov.sim.bus import Bus
from tokenprov.sim.ifd.build import Driver, SimulatorUnavailable

START_SECONDS = 10.0
STOP_SECONDS = 3.0
SOCKET_PATH_BYTES = 107  # sun_path of unix(7), less its final zero
DRIVERS = Path("/usr/lib/pcsc/drivers")  # pcscd --version: usbdropdir

_SCRIPT = """
set -e
[ -d /run/pcscd ] || { mount -t tmpfs none /run && mkdir /run/pcscd; }
mount --bind "$1" /run/pcscd
mount --bind "$2" /usr/lib/pcsc/drivers
TOKENPROV_SIM_USB="$4" LD_PRELOAD="$5" exec setpriv --pdeathsig KILL \\
    "$6" --foreground --config "$3" --reader-name-no-serial --reader-name-no-interface
"""


def find_program(name: str, package: str) -> str:
    """The path of a program that Debian's `package` brings. Raises `SimulatorUnavailable`."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise SimulatorUnavailable(f"{name} is missing: install {package}")
    return path


def namespace_command() -> list[str]:
    """How this user enters a mount namespace. Raises `SimulatorUnavailable` where none can be."""
    unshare = find_program("unshare", "util-linux")
    true = find_program("true", "coreutils")
    ways = [[unshare, "-r", "-m"]] + ([[unshare, "-m"]] if os.geteuid() == 0 else [])
    reason = ""
    for way in ways:
        tried = subprocess.run([*way, true], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return way
        reason = tried.stderr.strip()
    raise SimulatorUnavailable(
        f"no mount namespace for a private pcscd ({reason}): allow user namespaces "
        "(sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces) or run as root"
    )


class PrivatePcscd:
    """Runs pcscd on a virtual USB bus, in a folder of its own.

    Use as a context manager, or `start` and `stop`. `folder` must be short: a socket is made in it.
    """

    def __init__(self, folder: Path, driver: Driver, bus: Bus) -> None:
        self._run = folder / "pcscd"
        self._conf = folder / "reader.conf"
        self._log = folder / "pcscd.log"
        self._driver = driver
        self._bus = bus
        self._process: subprocess.Popen[bytes] | None = None
        if len(os.fsencode(self.socket)) > SOCKET_PATH_BYTES:
            raise SimulatorUnavailable(f"the socket's path {self.socket} is too long")

    @property
    def socket(self) -> Path:
        """Where clients reach it."""
        return self._run / "pcscd.comm"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client to it."""
        return {"PCSCLITE_CSOCK_NAME": str(self.socket)}

    @property
    def pid(self) -> int | None:
        """Its process id, or None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def __enter__(self) -> PrivatePcscd:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers. Raises `SimulatorUnavailable` with the reason."""
        pcscd = find_program("pcscd", "pcscd")
        find_program("setpriv", "util-linux")
        enter = namespace_command()
        if not DRIVERS.is_dir():
            raise SimulatorUnavailable(f"{DRIVERS} is missing: install libccid")
        self._run.mkdir(exist_ok=True)
        for stale in ("pcscd.comm", "pcscd.pid"):
            (self._run / stale).unlink(missing_ok=True)
        self._conf.write_text("# every reader is on the virtual USB bus\n", encoding="utf-8")
        self._bus.install(self._driver.handler)
        self._bus.renumber()
        command = [*enter, "/bin/sh", "-c", _SCRIPT, "sh"]
        command += [str(self._run), str(self._bus.drivers), str(self._conf)]
        command += [str(self._bus.folder), str(self._driver.bus), pcscd]
        started = threading.Event()
        failures: list[OSError] = []

        def keep() -> None:  # the thread whose end would end pcscd
            try:
                with self._log.open("ab") as log:
                    self._process = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
            except OSError as exc:
                failures.append(exc)
                return
            finally:
                started.set()
            self._process.wait()

        threading.Thread(target=keep, name="pcscd", daemon=True).start()
        started.wait()
        if failures:
            raise SimulatorUnavailable(f"pcscd cannot be started: {failures[0].strerror}")
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.pid is None:
                break
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket))
                except OSError:
                    time.sleep(0.005)
                else:
                    return
        self.stop()
        said = self._log.read_text(errors="replace").strip().splitlines()[-5:]
        raise SimulatorUnavailable("the private pcscd did not start: " + " / ".join(said))

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        """Stop it, by its process id; `SIGKILL` when it does not go within some seconds."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(with_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self, with_signal: int = signal.SIGKILL) -> None:
        """Kill it and start it again: every client's context dies with it."""
        self.stop(with_signal)
        self.start()


def make_folder() -> Path:
    """A fresh folder with a short path, for sockets and the files of one bench."""
    return Path(tempfile.mkdtemp(prefix="tpsim-"))
