"""The rules that a Linux station installs: rights on nodes, readers kept awake, who may use pcscd.

They come with the program (udev/). The group is the way of stations without a seat; whoever sits at
a seat needs no group.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from contextlib import suppress
from pathlib import Path

from tokenprov.device.usb import usb_tokens
from tokenprov.doctor.finding import as_root
from tokenprov.errors import StationError
from tokenprov.record.files import write_durable

GROUP = "tokenprov"
UDEV_RULES = Path("/etc/udev/rules.d/70-tokenprov.rules")
POLKIT_RULES = Path("/etc/polkit-1/rules.d/70-tokenprov.rules")
INSTALL = "tokenprov doctor --install-udev"
_SOURCES = {UDEV_RULES: "70-tokenprov.rules", POLKIT_RULES: "70-tokenprov.polkit.rules"}
_SUBSYSTEMS = ("hidraw", "input", "usb")  # what the rules are about
# On a node that has one a new mode changes its mask only, and the group stays out (acl(5)); udev
# gives the seat's entry again.
ACL = "system.posix_acl_access"
_COMMANDS = (
    ["groupadd", "--system", "--force", GROUP],
    ["udevadm", "control", "--reload"],
    ["udevadm", "trigger", "--action=change", *(f"--subsystem-match={s}" for s in _SUBSYSTEMS)],
    ["udevadm", "settle"],
)


def content(path: Path) -> bytes:
    """What is to stand in a file of rules. Raises `StationError` where it was not installed."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_udev", package.parent / "udev"):
        source = folder / _SOURCES[path]
        if source.is_file():
            return source.read_bytes()
    raise StationError(
        f"the rules {_SOURCES[path]} did not come with this installation",
        remedy="Install tokenprov again.",
    )


def up_to_date(path: Path) -> bool:
    """Whether a file of rules is installed, and is this version's.

    polkit's rules are not for everybody to read; they are installed together with the others.
    """
    try:
        return path.is_file() and path.read_bytes() == content(path)
    except PermissionError:
        return path != UDEV_RULES and up_to_date(UDEV_RULES)


def joining(path: Path) -> str:
    """The command by which this user gets what the rules give: install them, or join the group."""
    if not up_to_date(path):
        return as_root(INSTALL)
    return as_root(f"usermod -aG {GROUP} {_user()}") + "  # then log in again"


def _user() -> str:
    """This user's name; the number of one who has none, as in a container."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def in_group() -> bool:
    """Whether this process is in the group, as it counts for nodes."""
    try:
        return grp.getgrnam(GROUP).gr_gid in {os.getegid(), *os.getgroups()}
    except KeyError:
        return False


def install() -> tuple[Path, ...]:
    """Install the rules and have them obeyed at once; gives the files that were written.

    Raises `StationError` for another user than root, and with what a command said.
    """
    if os.geteuid() != 0:
        raise StationError("installing rules needs root", remedy=f"Run: {as_root(INSTALL)}")
    written = []
    for path in (UDEV_RULES, POLKIT_RULES):
        if path.parent.is_dir():  # there is no polkit on every station
            write_durable(path, content(path))
            written.append(path)
    for node in {node for token in usb_tokens() for node in (*token.nodes, *token.keyboards)}:
        with suppress(OSError):  # none, or the token was pulled
            os.removexattr(node, ACL)
    for command in _COMMANDS:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise StationError(
                f"{' '.join(command)}: {ran.stderr.strip() or ran.returncode}",
                remedy=f"The rules are in {UDEV_RULES}; run that command again.",
            )
    return tuple(written)
