"""Readers that pcscd kept although they are unplugged: a defect that its restart alone mends.

The mark that ends a reader's thread gets lost where the card's removal clears it at that moment
(pcsc-lite 1.9); pcscd then waits for that thread for good, and takes no other reader any more.

Rules, so that nobody is alarmed without need:
- Only YubiKeys are counted: each is one reader, named so, and one USB device with a CCID interface.
- A reader of pcscd's configuration is none of USB, whatever it is called; where that cannot be
  read, or clients are led to another pcscd, or the kernel shows no USB, nothing is said.
- pcscd learns of a pulled key a moment after the kernel: it counts where a second look is the same.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenprov.device.hid import OTHER_SERVICE
from tokenprov.device.pcsc import Context
from tokenprov.device.usb import SMART_CARD, YUBICO
from tokenprov.doctor.finding import Finding, as_root, bad, good
from tokenprov.errors import TokenError

ABOUT = "readers that are gone"
CONFIGURATION = Path("/etc/reader.conf.d")
SETTLED = 3.0  # seconds after which pcscd has noticed that a reader is gone
_NUMBERS = re.compile(r" [0-9A-F]{2} [0-9A-F]{2}$")  # that pcscd puts behind a reader's name
_FRIENDLY_NAME = re.compile(r'^\s*FRIENDLYNAME\s+"([^"]*)"', re.MULTILINE)


def look(names: Sequence[str]) -> Iterator[Finding]:
    """Compare the readers that pcscd lists with what is plugged in; `names` is its first answer."""
    if OTHER_SERVICE in os.environ:
        return
    too_many = surplus(names)
    if too_many:
        time.sleep(SETTLED)
        try:
            too_many = surplus(_names_now())
        except TokenError:  # pcscd has ended meanwhile: with it what it kept
            return
    if too_many:
        yield bad(
            ABOUT,
            f"pcscd kept {too_many} of its readers, whose keys are unplugged, and may see no other"
            " key any more",
            as_root("systemctl restart pcscd.service"),
        )
    elif too_many == 0:
        yield good(ABOUT, "pcscd kept none")


def surplus(
    names: Sequence[str],
    *,
    sys: Path = Path("/sys"),
    configuration: Path = CONFIGURATION,
) -> int | None:
    """How many readers of YubiKeys are listed beyond those plugged in; None: it cannot be told."""
    try:
        configured = set(_configured(configuration))
        plugged = sum(_is_key(device) for device in (sys / "bus/usb/devices").iterdir())
    except OSError:
        return None
    keys = [_NUMBERS.sub("", name) for name in names if name.lower().startswith("yubico yubikey")]
    return max(0, sum(name not in configured for name in keys) - plugged)


def _names_now() -> list[str]:
    with Context() as context:
        return [state.name for state in context.reader_states()]


def _configured(folder: Path) -> Iterator[str]:
    """The names of the readers that pcscd has from its configuration."""
    for path in folder.iterdir() if folder.is_dir() else ():
        yield from _FRIENDLY_NAME.findall(path.read_text(encoding="utf-8", errors="replace"))


def _is_key(device: Path) -> bool:
    """Whether that is a device of Yubico's with a smart card."""
    try:
        vendor = _text(device / "idVendor")
        kinds = {_text(one / "bInterfaceClass") for one in device.glob(f"{device.name}:*")}
    except FileNotFoundError:  # an interface, which has no vendor; or it went meanwhile
        return False
    return vendor == f"{YUBICO:04x}" and SMART_CARD in kinds


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
