"""pcscd: whether it answers, who holds its readers, and whether it can take any more of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenprov.device.pcsc import MAX_READERS, Context, ReaderState, pcsc_programs
from tokenprov.doctor import kept
from tokenprov.doctor.finding import Finding, as_root, bad, doubtful, good
from tokenprov.errors import TokenError

ABOUT, HELD, ROOM = "pcscd", "readers in use", "room for readers"
UNITS = ("pcscd.socket", "pcscd.service")


def look() -> Iterator[Finding]:
    """Ask it for its readers; what follows from them, when it answers."""
    try:
        with Context() as context:
            states = context.reader_states()
    except TokenError as error:
        yield bad(ABOUT, f"it does not answer: {error.message}", _start())
        return
    present = sum(state.present for state in states)
    yield good(ABOUT, f"{len(states)} readers, {present} with a token")
    yield _held(states)
    yield _room(states)
    yield from kept.look([state.name for state in states])


def _start() -> str:
    """The command that starts it, by what is there to be started."""
    if shutil.which("pcscd", path="/usr/sbin:/usr/bin:/sbin:/usr/local/sbin") is None:
        return as_root("apt-get install pcscd")
    if shutil.which("systemctl") is None:
        return as_root("pcscd")
    masked = any(_state(unit) == "masked" for unit in UNITS)
    unmask = as_root(f"systemctl unmask {' '.join(UNITS)}") + " && " if masked else ""
    return unmask + as_root("systemctl restart pcscd.socket")


def _state(unit: str) -> str:
    asked = subprocess.run(
        ["systemctl", "is-enabled", unit], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


def _held(states: Sequence[ReaderState]) -> Finding:
    past = usb_programs()
    if past:
        scdaemon = "gpgconf --kill scdaemon && " if "scdaemon" in past[0] else ""
        again = as_root("systemctl restart pcscd.service")
        return bad(HELD, f"taken from USB, past pcscd, by {', '.join(past)}", scdaemon + again)
    held = [state.name for state in states if state.in_use]
    if not held:
        return good(HELD, "none is in use by another program")
    holders = pcsc_programs()
    text = f"{', '.join(held)}: in use by {', '.join(holders) or 'a program of another user'}"
    if any(holder.startswith("scdaemon ") for holder in holders):
        return bad(HELD, text, "gpgconf --kill scdaemon")
    pids = " ".join(holder.partition("(")[2].rstrip(")") for holder in holders)
    return bad(HELD, text, f"ps -f {pids}" if pids else as_root("fuser -v /run/pcscd/pcscd.comm"))


def _room(states: Sequence[ReaderState]) -> Finding:
    if len(states) < MAX_READERS:
        return good(ROOM, f"{MAX_READERS - len(states)} more")
    return doubtful(
        ROOM,
        f"{len(states)} readers: pcscd takes no more, and a token put in now is not seen; take"
        " some out, by the ports that this shows",
        "lsusb -t",
    )


def usb_programs() -> tuple[str, ...]:
    """Programs other than pcscd that have a USB device open, as "name (pid)".

    scdaemon has a driver of its own for readers, which takes what pcscd does not have yet.
    """
    found = set()
    for opened in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if not str(opened.readlink()).startswith("/dev/bus/usb/"):
                continue
            name = (opened.parents[1] / "comm").read_text().strip()
        except OSError:  # another user's, or gone meanwhile
            continue
        if name != "pcscd":
            found.add(f"{name} ({opened.parents[1].name})")
    return tuple(sorted(found))
