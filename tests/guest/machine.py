"""The guest: a virtual machine with a USB bus, on which virtual tokens are plugged.

Its processor is emulated in software, so that it runs in a container. It starts from a disk
(build.sh) to where its only service, worker.py, waits for the checkout, and with that to where it
waits for a command; there it is kept, and starts from that moment the next time (`snapshot`). Then
what belongs to this run is plugged in: the tokens of a bench, whose control socket is a port of the
machine, so that tests in there move them about; a monitor, by which they plug in devices of QEMU's
own; a folder that the machine writes to; ports for the command, what it says, and its exit code.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tests.guest.monitor import MachineError, Monitor
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.control import CONTROL_VARIABLE
from tokenprov.sim.usb.wiring import USB_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/guest"
MEMORY = "1024M"
ROOTS = "roots"  # in the folder that the machine writes to: what the virtual tokens attest under
PORTS = "/dev/virtio-ports/tokenprov"  # the names of the machine's ports begin with it
WITHIN = "plug"  # the port by which what runs in the machine reaches a monitor of it
CONNECT_SECONDS = 60.0
START_SECONDS = 300.0  # on a machine that does much else besides
WAITS, READY = "guest: waits for a checkout", "guest: ready"  # what worker.py says on the console
CODE = {"driver": "virtio-blk-pci", "drive": "code", "id": "code", "addr": "0x10"}
CODE_FILE = {"driver": "file", "filename": str(BUILD / "code.img"), "node-name": "code"}
PROCESSOR = "max,-avx,-avx2,-sha-ni"  # these instructions are slower to emulate than to do without
# Hardware that the machine has and nobody needs: udev would load its drivers, slowly.
NOT_LOADED = (
    "kvm,kvm_amd,kvm_intel,floppy,pcspkr,psmouse,libata,ata_piix,ata_generic,i2c_piix4,"
    "powernow_k8,aesni_intel,crct10dif_pclmul,ghash_clmulni_intel,intel_rapl_msr,serio_raw,"
    "sha512_ssse3,sha1_ssse3,sha256_ssse3,polyval_clmulni,crc32_pclmul,evbug,joydev,sg,ppdev,"
    "parport_pc,lp,parport,configfs,efi_pstore,fuse,loop,dm_mod,button"
)
KERNEL = (
    "console=ttyS0 quiet loglevel=3 panic=-1 audit=0 net.ifnames=0 mitigations=off nowatchdog "
    "cryptomgr.notests apparmor=0 nokaslr random.trust_cpu=on systemd.unit=guest.target "
    f"systemd.show_status=1 module_blacklist={NOT_LOADED}"
)


def hardware(memory: Path, *, shared: bool) -> list[str]:
    """QEMU's command line, as it is for every run; its memory is a file, or what it began as."""
    share = "on" if shared else "off"
    made = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR]
    made += ["-machine", "pc,memory-backend=memory", "-m", MEMORY]
    made += [
        "-object",
        f"memory-backend-file,id=memory,size={MEMORY},mem-path={memory},share={share}",
    ]
    made += ["-nodefaults", "-no-reboot", "-vga", "std", "-display", "none"]  # a seat has a screen
    made += ["-kernel", str(BUILD / "vmlinuz"), "-initrd", str(BUILD / "initramfs.gz")]
    made += ["-append", KERNEL]
    made += ["-drive", f"file={BUILD / 'root.img'},if=virtio,format=raw,readonly=on"]
    made += ["-device", "virtio-serial-pci,id=ports", "-device", "qemu-xhci,id=usb,p2=8,p3=0"]
    return made


def with_code() -> list[str]:
    """QEMU's options for the checkout that a machine has which was kept with it."""
    return ["-blockdev", json.dumps({**CODE_FILE, "read-only": True}), "-device", json.dumps(CODE)]


class Machine:
    """One that runs; `folder` holds its sockets, `out` what it writes."""

    def __init__(self, hardware: list[str], out: Path, *more: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tpguest-"))
        self.console, self._out = out / "console.log", out
        command = [*hardware]
        for name in ("monitor", WITHIN):
            command += ["-qmp", f"unix:{self.folder / name},server=on,wait=off"]
        command += ["-serial", f"file:{self.console}", "-fsdev"]
        command += [f"local,id=out,path={out},security_model=none,multidevs=remap", *more]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.monitor = Monitor(self.folder / "monitor")

    def wait(self, said: str) -> None:
        """Wait until it has said that. Raises `MachineError` when that does not come."""
        deadline = time.monotonic() + START_SECONDS
        while said not in self.console.read_text(encoding="utf-8", errors="replace"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise MachineError(f"it does not start: {self.console} has what it said")
            time.sleep(0.1)

    def plug_code(self) -> None:
        """The checkout, as code.sh has it."""
        self.monitor.ask("blockdev-add", **CODE_FILE, **{"read-only": True})
        self.monitor.ask("device_add", **CODE)

    def plug(self, bench: VirtualBench) -> None:
        """What belongs to this run, the ports at last: the command comes when all is there."""
        environment, add = bench.environment, self.monitor.ask
        shutil.copytree(environment[ROOTS_FOLDER], self._out / ROOTS, dirs_exist_ok=True)
        add("device_add", driver="virtio-9p-pci", fsdev="out", mount_tag="out", id="out")
        usb = Path(environment[USB_VARIABLE])
        for number in range(len(bench.control.tokens())):
            self._chardev(f"usb{number}", usb / f"usb{number}", server=False)
            where = {"chardev": f"usb{number}", "bus": "usb.0", "port": str(number + 1)}
            add("device_add", driver="usb-redir", **where)
        self._chardev("control", Path(environment[CONTROL_VARIABLE]), server=False)
        self._chardev(WITHIN, self.folder / WITHIN, server=False)
        for name in ("output", "exit", "command"):
            self._chardev(name, self.folder / name, server=True)
        for name in ("control", WITHIN, "output", "exit", "command"):
            what = {"chardev": name, "name": f"tokenprov.{name}", "bus": "ports.0"}
            add("device_add", driver="virtserialport", **what)

    def _chardev(self, name: str, path: Path, *, server: bool) -> None:
        where = {"addr": {"type": "unix", "data": {"path": str(path)}}, "server": server}
        if server:
            where["wait"] = False
        self.monitor.ask("chardev-add", id=name, backend={"type": "socket", "data": where})

    def close(self) -> None:
        """Switch it off."""
        with contextlib.suppress(MachineError):  # it may have ended by itself
            self.monitor.ask("quit")
        self.monitor.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def port(folder: Path, name: str) -> socket.socket:
    """One of the machine's ports. Raises `MachineError` when it is not there."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(folder / name))
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise MachineError(f"its port {name}: {error}") from error
            time.sleep(0.05)
        else:
            return connection


def run(
    folder: Path,
    command: list[str],
    variables: Mapping[str, str],
    seconds: float,
    output_to: BinaryIO,
) -> int | None:
    """Run a command in the machine, its output to a stream; its exit code, None for too long.

    Raises `MachineError` where the machine ends by itself.
    """
    task = {"argv": command, "environment": dict(variables)}
    with (
        port(folder, "output") as said,
        port(folder, "exit") as ended,
        port(folder, "command") as asked,
    ):
        now = {"time": time.time(), "seed": secrets.token_hex(64)}
        asked.sendall(json.dumps(task | now).encode() + b"\n")
        deadline = time.monotonic() + seconds
        said.settimeout(0.2)
        ended.settimeout(0.0)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                output = said.recv(65536)
                if not output:
                    raise MachineError("it ended before its command did")
                output_to.write(output)
                output_to.flush()
                continue
            with contextlib.suppress(BlockingIOError):
                return int(ended.recv(16))
    return None


def variables() -> dict[str, str]:
    """What the command finds in its environment."""
    path = os.pathsep.join([str(ROOT / ".venv/bin"), "/usr/sbin:/usr/bin:/sbin:/bin"])
    return {
        "PATH": path,
        "LANG": "C.UTF-8",
        "HOME": "/root",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # each takes its time to load
        "PYTEST_PLUGINS": "pytest_timeout",
        CONTROL_VARIABLE: f"{PORTS}.control",
        ROOTS_FOLDER: f"/tmp/out/{ROOTS}",
    }
