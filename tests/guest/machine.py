"""The guest: a virtual machine with a USB bus, on which virtual tokens are plugged.

The machine's processor is emulated in software, so that it runs in a container. Its root is this
machine's own, read-only, with build/guest/layer and a tmpfs over it (init): what is installed here
runs there. One command is run in it by its only service (units/guest.service); the bench's control
socket is a port of the machine, so that tests in there move the tokens about.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.control import CONTROL_VARIABLE
from tokenprov.sim.usb.wiring import USB_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/guest"
MEMORY_MEGABYTES = 1024
ROOTS = "roots"  # in the folder that the machine writes to: what the virtual tokens attest under
PORTS = "/dev/virtio-ports/tokenprov"  # the names of the machine's ports begin with it
CONNECT_SECONDS = 60.0
PROCESSOR = "max,-avx,-avx2,-sha-ni"  # these instructions are slower to emulate than to do without
# Hardware that the machine has and nobody needs: udev would load its drivers, slowly.
NOT_LOADED = (
    "kvm,kvm_amd,kvm_intel,floppy,pcspkr,psmouse,libata,ata_piix,ata_generic,i2c_piix4,"
    "powernow_k8,aesni_intel,crct10dif_pclmul,ghash_clmulni_intel,intel_rapl_msr,serio_raw,"
    "sha512_ssse3,sha1_ssse3,sha256_ssse3,polyval_clmulni,crc32_pclmul,evbug,joydev,sg,ppdev,"
    "parport_pc,lp,parport,configfs,efi_pstore,fuse,loop,dm_mod,button"
)


def arguments(
    folder: Path, usb: Path, control: str, ports: int, out: Path, processors: int
) -> list[str]:
    """QEMU's command line; `folder` holds the sockets of the machine's own ports."""
    kernel = " ".join(
        [
            "console=ttyS0 quiet loglevel=3 panic=-1 audit=0 net.ifnames=0",
            "mitigations=off nowatchdog cryptomgr.notests apparmor=0 nokaslr random.trust_cpu=on",
            "systemd.unit=guest.target systemd.show_status=1",
            f"module_blacklist={NOT_LOADED}",
            (BUILD / "paths").read_text(encoding="utf-8").strip(),
        ]
    )
    made = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR]
    made += ["-smp", str(processors), "-m", str(MEMORY_MEGABYTES), "-nodefaults", "-no-reboot"]
    made += ["-vga", "std", "-display", "none"]  # a seat needs a screen
    made += ["-kernel", str(BUILD / "vmlinuz"), "-initrd", str(BUILD / "initramfs.gz")]
    made += ["-append", kernel, "-serial", f"file:{out / 'console.log'}"]
    for tag, path, access in (
        ("root", Path("/"), ",readonly=on"),
        ("layer", BUILD / "layer", ",readonly=on"),
        ("out", out, ""),
    ):
        share = f"local,id={tag},path={path},security_model=none,multidevs=remap{access}"
        made += ["-fsdev", share, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    for disk in ("python.img", "code.img"):
        made += ["-drive", f"file={BUILD / disk},if=virtio,format=raw,readonly=on"]
    made += ["-device", "virtio-serial-pci"]
    for name in ("command", "output", "exit"):
        made += ["-chardev", f"socket,id={name},path={folder / name},server=on,wait=off"]
        made += ["-device", f"virtserialport,chardev={name},name=tokenprov.{name}"]
    made += ["-chardev", f"socket,id=control,path={control}"]
    made += ["-device", "virtserialport,chardev=control,name=tokenprov.control"]
    made += ["-device", "qemu-xhci,id=usb,p2=8,p3=0"]
    for number in range(ports):
        made += ["-chardev", f"socket,id=usb{number},path={usb / f'usb{number}'}"]
        made += ["-device", f"usb-redir,chardev=usb{number},bus=usb.0"]
    return made


@contextlib.contextmanager
def machine(bench: VirtualBench, out: Path, processors: int) -> Iterator[Path]:
    """A machine that boots with the tokens of that bench; gives the folder of its ports."""
    environment = bench.environment
    shutil.copytree(environment[ROOTS_FOLDER], out / ROOTS, dirs_exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="tpguest-"))
    qemu = subprocess.Popen(
        arguments(
            folder,
            Path(environment[USB_VARIABLE]),
            environment[CONTROL_VARIABLE],
            len(bench.control.tokens()),
            out,
            processors,
        ),
        stdin=subprocess.DEVNULL,
    )
    try:
        yield folder
    finally:
        qemu.send_signal(signal.SIGTERM)
        try:
            qemu.wait(10)
        except subprocess.TimeoutExpired:
            qemu.kill()
            qemu.wait()
        shutil.rmtree(folder, ignore_errors=True)


def port(folder: Path, name: str) -> socket.socket:
    """One of the machine's ports."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(folder / name))
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
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

    Raises `ConnectionError` where the machine ends by itself.
    """
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    line = f"cd {shlex.quote(str(ROOT))} && exec env {words} {shlex.join(command)}\n"
    with (
        port(folder, "command") as asked,
        port(folder, "output") as said,
        port(folder, "exit") as ended,
    ):
        asked.sendall(line.encode())
        deadline = time.monotonic() + seconds
        said.settimeout(0.2)
        ended.settimeout(0.0)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                output = said.recv(65536)
                if not output:
                    raise ConnectionError("the machine ended before its command did")
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
