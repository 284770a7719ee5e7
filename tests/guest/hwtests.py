"""`python -m tests.guest.hwtests FILE …`, in the guest: the tests for real tokens, unchanged.

They run on a virtual token on this machine's USB bus, issued by CCID, its FIDO used by HID, and put
in again, with two neighbours on the bus. Exits as pytest does.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.guest.tests.bench import KEY, Bench, ended, started
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.control import CONTROL_VARIABLE, SimControl

OUT = Path("/tmp/out")  # a folder of the machine outside
REPORT = OUT / "report.json"
HOME = Path("/tmp/hwtests/station")
LIMIT = 600.0  # seconds for a test, on a machine that does much else besides


def main() -> int:
    """Have a fresh key touched by itself, and moved by the robot; pytest's exit code."""
    control = SimControl(os.environ[CONTROL_VARIABLE])
    bench = Bench(control)
    serial = bench.renew(KEY)
    control.set_touch(serial, "never")
    control.close()  # the machine's port has room for one: the robot takes it
    roots = Path(os.environ[ROOTS_FOLDER])
    words = [f"--trust={roots / name}" for name in ("root.pem", "chain.pem")]
    words += ["--wipe", str(serial), "--operator-command", f"{sys.executable} -m tests.robot"]
    words += ["--bench-home", str(HOME), "--report", str(REPORT), "--timeout", str(LIMIT)]
    code = ended(started(lambda: sys.exit(pytest.main([*sys.argv[1:], *words]))))
    made = json.loads(REPORT.read_text(encoding="utf-8"))
    seconds: Counter[str] = Counter()
    for one in made["tests"]:
        seconds[one["test"].partition("::")[0]] += one["seconds"]
    OUT.joinpath("seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
    assert made["token"]["transports"] == ["ccid", "hid"], made["token"]
    return code


if __name__ == "__main__":
    sys.exit(main())
