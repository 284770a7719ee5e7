"""SoftHSM for tests: folders of tokens, and a module around it that misbehaves (pkcs11_shim.c)."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
SHIM = Path(__file__).with_name("pkcs11_shim.c")
SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftHsm:
    """A folder of tokens; `environment` leads SoftHSM to it."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> SoftHsm:
        """An empty one, in which there is always one blank token."""
        (folder / "tokens").mkdir(parents=True)
        settings = f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n"
        (folder / "softhsm.conf").write_text(settings)
        return cls(folder=folder)

    @property
    def environment(self) -> dict[str, str]:
        """What SoftHSM finds the folder by."""
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm.conf")}

    def run(self, *command: str) -> str:
        """Run a program that uses it; gives what it said."""
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, **self.environment},
        )
        return done.stdout

    def deliver(self, label: str, so_pin: str, pin: str = "") -> None:
        """A token as makers deliver them: initialised, with an SO PIN that they published."""
        command = ["softhsm2-util", "--init-token", "--free", "--label", label]
        self.run(*command, "--so-pin", so_pin, "--pin", pin or so_pin)


def built_shim(folder: Path) -> Path:
    """Compile the module that misbehaves."""
    made = folder / "shim.so"
    subprocess.run(
        ["gcc", "-std=gnu11", "-shared", "-fPIC", "-o", str(made), str(SHIM), "-ldl"],
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    return made
