"""The tests for real tokens, unchanged, on a virtual token on this machine's USB bus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guest.tests.bench import KEY, Bench
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.control import CONTROL_VARIABLE, SimControl

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 2400.0  # on a machine that does much else besides


@pytest.mark.timeout(SECONDS + 60)
def test_they_pass_over_usb(bench: Bench, tmp_path: Path) -> None:
    """Issued by CCID, its FIDO used by HID, and put in again, with two neighbours on the bus."""
    serial = bench.renew(KEY)
    bench.control.set_touch(serial, "never")
    bench.control.close()  # the machine's port has room for one: the robot takes it
    roots = Path(os.environ[ROOTS_FOLDER])
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "hwtests"]
    command += ["--wipe", str(serial), "--operator-command", f"{sys.executable} -m tests.robot"]
    command += [f"--trust={roots / name}" for name in ("root.pem", "chain.pem")]
    command += ["--bench-home", str(tmp_path / "station")]
    command += ["--report", str(tmp_path / "report.json")]
    try:
        ran = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        bench.control = SimControl(os.environ[CONTROL_VARIABLE])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    made = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert made["token"]["transports"] == ["ccid", "hid"]
    assert "failed" not in {one["result"] for one in made["tests"]}
