"""The tests for real tokens, unchanged, on virtual ones: what they say, and never touch."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from hwtests.report import FORMAT, Result
from tests.hwtests_run import FAILED, ROOT, SECONDS, hwtests, report
from tests.module_station import PUBLISHED
from tests.softhsm import SOFTHSM, SoftHsm
from tests.stations import Station
from tokenprov.sim.bench import VirtualBench

USAGE = 4  # pytest's exit code
OTHERS = {
    "--wipe-only-token": "security-key-5.7",
    "token name": "piv-card-t0",
}  # by a command's words
A_REPORT = {
    "format": FORMAT,
    "token": {"model": "YubiKey 5 NFC", "firmware": "5.7.4", "virtual": True},
    "tests": [{"test": "a", "result": str(Result.PASSED)}],
}


@pytest.fixture(scope="module")
def two_keys() -> Iterator[VirtualBench]:
    """Two YubiKeys beside each other, that nobody touches."""
    with VirtualBench(tokens=2, touch="never") as bench:
        yield bench


def test_all_pass_on_a_virtual_token(two_keys: VirtualBench, tmp_path: Path) -> None:
    """Every test that applies passes, and the token is nobody's afterwards.

    The token beside it was not written to, the report is of the model and names no serial, and it
    holds no secret.
    """
    subject, other = two_keys.serials
    before = two_keys.control.snapshot(other)
    done = hwtests(two_keys, tmp_path, "hwtests", "--wipe", str(subject))
    assert done.returncode == 0, done.stdout + done.stderr
    assert two_keys.control.snapshot(other) == before
    made = report(tmp_path)
    assert (made["token"]["model"], made["token"]["virtual"]) == ("YubiKey 5 NFC", True)
    assert made["operator"] == "robot"
    assert made["counts"][Result.FAILED] == 0
    assert made["counts"][Result.PASSED] >= 20
    told = (tmp_path / "report.json").read_text() + (tmp_path / "report.txt").read_text()
    assert str(subject) not in told
    station = Station(home=tmp_path / "station", environment=two_keys.environment)
    key = tmp_path / "station/custodians/private/break-glass.pem"
    opening = ("--purpose", "break-glass", "--key", key, "--reason", "the test asks", "--all")
    secrets = station.run("escrow", "open", str(subject), *opening, "--json").document
    assert len(secrets) > 20
    assert not [one["name"] for one in secrets if one["value"] in told]
    shown = station.run("token", "show", str(subject), "--json")
    assert shown.document["used"] == []


def test_a_token_without_a_serial_is_the_only_one(tmp_path: Path) -> None:
    """A Security Key alone, by the flag for it: its tests pass, and it has no PIN afterwards."""
    with VirtualBench(model="security-key-5.7", touch="never") as bench:
        done = hwtests(bench, tmp_path, "hwtests", "--wipe-only-token")
        assert done.returncode == 0, done.stdout + done.stderr
        assert report(tmp_path)["counts"][Result.PASSED] >= 3
        assert bench.control.snapshot(0)["applets"]["fido2"]["pin_hash"] in (None, "")


def test_what_does_not_apply_is_said(two_keys: VirtualBench, tmp_path: Path) -> None:
    """A test for another firmware is not run, not skipped, and in the report with its condition.

    What ended otherwise on the virtual token whose report lies beside it is in there, too.
    """
    serial = str(two_keys.serials[0])
    test = "hwtests/test_factory.py::test_there_is_room_for_a_hundred"
    beside = {**A_REPORT, "tests": [{"test": test, "result": str(Result.FAILED)}]}
    (tmp_path / "report-virtual.json").write_text(json.dumps(beside), encoding="utf-8")
    done = hwtests(two_keys, tmp_path, "hwtests/test_factory.py", "-k", "room", "--wipe", serial)
    assert done.returncode == 0, done.stdout + done.stderr
    different = f"{test}: passed on the token of an unknown kind, failed on the virtual token"
    assert different in report(tmp_path)["findings"]
    assert different in done.stdout
    assert "skipped" not in done.stdout
    results = {one["test"].partition("::")[2]: one for one in report(tmp_path)["tests"]}
    assert results["test_there_is_room_for_a_hundred"]["result"] == Result.PASSED
    left_out = results["test_there_is_room_for_twenty_five"]
    assert left_out["result"] == Result.NOT_APPLICABLE
    assert left_out["reason"] == "wants firmware >=5.2, <5.7"
    assert left_out["reason"] in done.stdout


def test_a_person_is_asked_at_the_terminal(two_keys: VirtualBench, tmp_path: Path) -> None:
    """Without a robot the prompts come to the terminal, and who does what they say is enough."""
    subject = two_keys.serials[1]
    two_keys.control.set_touch(subject, "auto")
    roots = Path(two_keys.environment["TOKENPROV_SIM_ROOTS"])
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "hwtests/test_otp.py"]
    words += ["-k", "touched_slot", "--wipe", str(subject), f"--trust={roots / 'root.pem'}"]
    words += [f"--trust={roots / 'chain.pem'}", "--bench-home", str(tmp_path / "station")]
    words += ["--report", str(tmp_path / "report.json")]
    asked: list[str] = []
    with subprocess.Popen(
        ["script", "--quiet", "--return", "--command", shlex.join(words), "/dev/null"],
        cwd=ROOT,
        env={**os.environ, **two_keys.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as terminal:
        assert terminal.stdout is not None
        for line in terminal.stdout:
            asked.append(line)
            if f"take {subject} out" in line:
                two_keys.control.remove(subject)
            elif f"put {subject} in again" in line:
                two_keys.control.insert(subject)
    assert terminal.returncode == 0, "".join(asked)
    assert any(f"touch {subject} now (challenge-response)" in line for line in asked)
    assert any(f"take {subject} out" in line for line in asked)
    assert report(tmp_path)["operator"] == "person"


def test_what_fails_is_red(two_keys: VirtualBench, tmp_path: Path) -> None:
    """Where the station does not trust the token's root, the run fails and its report says why."""
    command = ("hwtests/test_piv.py", "-k", "attested", "--wipe", str(two_keys.serials[0]))
    done = hwtests(two_keys, tmp_path, *command, trust=False)
    assert done.returncode == FAILED, done.stdout + done.stderr
    (only,) = report(tmp_path)["tests"]
    assert only["result"] == Result.FAILED
    assert "If you trust that authority" in only["reason"]
    assert str(two_keys.serials[0]) not in only["reason"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "name the token that may be wiped"),
        (["--wipe", "12345678"], "no token 12345678 is plugged in"),
        (["--wipe-only-token"], "wants one token and no other"),
        (["--wipe", "30000001", "-n", "2"], "run in one process"),
        (["--wipe", "30000001", "--spare", "30000001"], "wants another token"),
        (["--wipe", "30000001", "--spare", "30000003"], "no token 30000003 is plugged in"),
    ],
    ids=["nobody", "another serial", "not the only one", "processes", "its own spare", "no spare"],
)
def test_without_its_name_no_token_is_touched(
    two_keys: VirtualBench, tmp_path: Path, options: list[str], says: str
) -> None:
    """The run ends before the first test; no home is made, and nothing is written to a token."""
    before = [two_keys.control.snapshot(serial) for serial in two_keys.serials]
    done = hwtests(two_keys, tmp_path, "hwtests", *options)
    assert done.returncode == USAGE
    assert says in done.stderr
    assert "Nothing was touched" in done.stderr
    assert [two_keys.control.snapshot(serial) for serial in two_keys.serials] == before
    assert list(tmp_path.iterdir()) == []


def commands_of_the_page() -> list[str]:
    """Each command that docs/bench.md shows."""
    lines = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.startswith("    ")]


@pytest.mark.parametrize("command", commands_of_the_page())
def test_the_page_shows_what_works(two_keys: VirtualBench, tmp_path: Path, command: str) -> None:
    """Each command as it stands there; of tests, the way up to the first, as a person is wanted."""
    with contextlib.ExitStack() as benches:
        serials, environment = [*map(str, two_keys.serials)], two_keys.environment
        wanted = serials[0]
        for words, model in OTHERS.items():
            if words in command:
                bench = benches.enter_context(VirtualBench(model=model, touch="never"))
                serials, environment = [], bench.environment
                wanted = "Virtual Smart Card Reader 00 00  "  # and the name that it was given
        if "--module" in command:
            hsm = SoftHsm.create(tmp_path / "hsm")
            hsm.deliver("delivered", PUBLISHED)
            environment = hsm.environment
            listed = hsm.run("pkcs11-tool", "--module", str(SOFTHSM), "--list-token-slots")
            serials = [wanted] = re.findall(r"serial num +: (\w+)", listed)[:1]
        done = given(command, serials, environment, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = "::test_" if command.startswith("pytest") else wanted
    assert wanted in done.stdout or "no difference" in done.stdout


def given(
    command: str, serials: Sequence[str], environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Give it before tokens with these serials, with reports in the folder."""
    for shown, serial in zip(("12345678", "12345679"), serials, strict=False):
        command = command.replace(shown, serial)
    if command.startswith("pytest"):
        command += " -p no:cacheprovider --collect-only -q"
    else:
        (folder / "build/hwtests").mkdir(parents=True)
        for name in (word for word in command.split() if word.endswith(".json")):
            (folder / name).write_text(json.dumps(A_REPORT), encoding="utf-8")
    return subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT if command.startswith("pytest") else folder,
        env={
            **os.environ,
            **environment,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_they_are_not_among_the_tests_of_the_project() -> None:
    """`pytest` without a path collects `tests` alone."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
