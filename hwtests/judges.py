"""What it takes to ask programs from elsewhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hwtests.errors import BenchError

# Of the maker's attestations: https://developers.yubico.com/PIV/Introduction/PIV_attestation.html
MAKER = "1.3.6.1.4.1.41482.3"
OPENSC = ("pkcs11-tool", "--module", "opensc-pkcs11.so")
SECONDS = 120.0


def asked(
    command: Sequence[str],
    folder: Path,
    *,
    code: int | None,
    input: str,
    secrets: Mapping[str, str],
) -> str:
    """What a program says on both channels, in that folder; `secrets` are in its environment.

    Raises `BenchError` for another exit code; None: any.
    """
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        input=input,
        timeout=SECONDS,
        cwd=folder,
        env={**os.environ, **secrets, "COLUMNS": "200"},
        check=False,
    )
    if code is not None and done.returncode != code:
        error = BenchError(f"{Path(command[0]).name} gave {done.returncode}, not {code}")
        error.add_note(done.stdout)  # for the screen: the report has no output of programs
        raise error
    return done.stdout


def fields(text: str) -> dict[str, str]:
    """The lines "name: value" of a program's output, the last one of each name."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
