"""`python -m tests.guest.hwtests FILE …`, in the guest: the tests for real tokens, unchanged.

They run on virtual tokens on this machine's USB bus: a YubiKey that is issued by CCID, its FIDO
used by HID, and put in again, with two neighbours on the bus; on an older one what is about its
interfaces; and a Security Key that is alone. Exits as pytest does, with the worst of several codes.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from ykman._cli.__main__ import main as ykman_main

from tests import robot
from tests.guest.tests.bench import KEY, OLDER_KEY, SECURITY_KEY, Bench, ended, started
from tests.guest.warm import keep_warm
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.control import CONTROL_VARIABLE, SimControl

OUT = Path("/tmp/out")  # a folder of the machine outside
HOMES = Path("/tmp/hwtests")
LIMIT = 600.0  # seconds for a test, on a machine that does much else besides
YKMAN, ROBOT = Path(sys.executable).with_name("ykman"), Path("/run/robot")
# The ports of the tokens that a file is run on; any other on the first alone
PORTS = {
    "test_keystrokes.py": {KEY, OLDER_KEY},
    "test_interfaces.py": {KEY, OLDER_KEY},
    "test_unnumbered.py": {SECURITY_KEY},
}
TRANSPORTS = {KEY: ["ccid", "hid"], OLDER_KEY: ["ccid", "hid"], SECURITY_KEY: ["hid"]}


def meant(port: int) -> Sequence[str]:
    """Have a fresh token there, touched by nobody but the robot; the option that names it."""
    control = SimControl(os.environ[CONTROL_VARIABLE])
    bench = Bench(control)
    serial = bench.renew(port)
    control.set_touch(serial, "never")
    if port == SECURITY_KEY:
        bench.pull(KEY, OLDER_KEY)
    control.close()  # the machine's port has room for one: the robot takes it
    return ("--wipe-only-token",) if port == SECURITY_KEY else ("--wipe", str(serial))


def run(port: int, arguments: Sequence[str], seconds: Counter[str]) -> int:
    """Run tests on the token of a port, and add up what files take; pytest's exit code."""
    report = OUT / f"report-{port}.json"
    roots = Path(os.environ[ROOTS_FOLDER])
    words = [f"--trust={roots / name}" for name in ("root.pem", "chain.pem")]
    words += [*meant(port), "--operator-command", str(ROBOT)]
    words += ["--bench-home", str(HOMES / str(port) / "station")]
    words += ["--report", str(report), "--timeout", str(LIMIT)]
    code = ended(started(lambda: sys.exit(pytest.main([*arguments, *words]))))
    made = json.loads(report.read_text(encoding="utf-8"))
    assert made["token"]["transports"] == TRANSPORTS[port], made["token"]
    for one in made["tests"]:
        seconds[file_of(one["test"])] += one["seconds"]
    return code


def file_of(test: str) -> str:
    """The file that a test is in."""
    return test.partition("::")[0]


def main() -> int:
    """Run what is named, each file on its tokens, the Security Key at last; the exit code."""
    tests = [one for one in sys.argv[1:] if one.startswith("hwtests")]
    options = [one for one in sys.argv[1:] if one not in tests]
    seconds: Counter[str] = Counter()
    keep_warm({YKMAN: ykman_main, ROBOT: robot.main})
    codes = []
    for port in (KEY, OLDER_KEY, SECURITY_KEY):
        here = [one for one in tests if port in PORTS.get(Path(file_of(one)).name, {KEY})]
        if here:
            codes.append(run(port, [*options, *here], seconds))
    OUT.joinpath("seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
    return max(codes, default=pytest.ExitCode.NO_TESTS_COLLECTED)


if __name__ == "__main__":
    sys.exit(main())
