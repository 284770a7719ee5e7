"""polkit: newer pcscd asks it who may connect (Debian 13 and later); older ones ask nobody."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tokenprov.doctor.finding import Finding, bad, doubtful, good
from tokenprov.doctor.rules import GROUP, POLKIT_RULES, joining

ABOUT = "polkit"
ACTIONS = ("org.debian.pcsc-lite.access_pcsc", "org.debian.pcsc-lite.access_card")
POLICY = Path("/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy")


def look() -> Iterator[Finding]:
    """Ask it for this process; nothing where pcscd does not."""
    if not POLICY.exists():
        return
    if shutil.which("pkcheck") is None:
        yield doubtful(ABOUT, "pcscd asks it, and pkcheck is missing", "apt-get install polkitd")
        return
    refused = [action for action in ACTIONS if not _allows(action)]
    if not refused:
        yield good(ABOUT, "this user may use pcscd")
        return
    names = " and ".join(action.rpartition(".")[2] for action in refused)
    yield bad(ABOUT, f"it refuses this user {names}; group {GROUP} may", joining(POLKIT_RULES))


def _allows(action: str) -> bool:
    asked = ["pkcheck", "--action-id", action, "--process", str(os.getpid())]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0
