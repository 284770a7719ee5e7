"""Starts the tests for real tokens on virtual ones, as a person does, and reads their report."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import forked
from tokenprov.sim.bench import VirtualBench

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240.0
FAILED = 1  # pytest's exit code
ROBOT = f"{sys.executable} -m tests.robot"
# One that says it does what it is told, and does this instead.
CARELESS = """
import os, sys
from tokenprov.sim.control import CONTROL_VARIABLE, SimControl
control = SimControl(os.environ[CONTROL_VARIABLE])
for line in sys.stdin:
    deed, *_ = line.split()
    {deeds}
    print("ok", flush=True)
"""


def careless(folder: Path, deeds: str) -> str:
    """The command of a robot that is not to be trusted."""
    program = folder / "careless.py"
    program.write_text(CARELESS.replace("{deeds}", deeds), encoding="utf-8")
    return shlex.join([sys.executable, str(program)])


def hwtests(
    bench: VirtualBench, folder: Path, *arguments: str, trust: bool = True, robot: str = ROBOT
) -> subprocess.CompletedProcess[str]:
    """Start the tests as a person does, with the simulator as the robot."""
    roots = Path(bench.environment["TOKENPROV_SIM_ROOTS"])
    trusted = [f"--trust={roots / name}" for name in ("root.pem", "chain.pem")] if trust else []
    return started(bench.environment, folder, *arguments, *trusted, robot=robot)


def started(
    environment: Mapping[str, str], folder: Path, *arguments: str, robot: str
) -> subprocess.CompletedProcess[str]:
    """Start them before the tokens that the environment leads to."""
    command = ["pytest", "-p", "no:cacheprovider", *arguments]
    where = ["--bench-home", str(folder / "station"), "--report", str(folder / "report.json")]
    return forked.run(
        [*command, "--operator-command", robot, *where],
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=SECONDS,
    )


def report(folder: Path) -> dict[str, Any]:
    """What a run left."""
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found
