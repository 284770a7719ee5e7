"""`tokenprov doctor` on the machine that the tests run on; what it mends is tried in the guest."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenprov.doctor import State, disk, install, rules
from tokenprov.doctor.rules import POLKIT_RULES, UDEV_RULES, content
from tokenprov.errors import StationError
from tokenprov.sim.bench import VirtualBench


def doctor(home: Path, variables: dict[str, str], code: int | None) -> dict[str, dict[str, str]]:
    """What the command finds, by what it is about; PC/SC clients are led once in a process."""
    ran = subprocess.run(
        [sys.executable, "-m", "tokenprov", "--home", str(home), "doctor", "--json"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert code is None or ran.returncode == code, ran.stdout + ran.stderr
    return {one["about"]: one for one in json.loads(ran.stdout)["findings"]}


def test_sixteen_readers_are_said_to_be_all(
    new_bench: Callable[..., VirtualBench], tmp_path: Path
) -> None:
    """With sixteen readers no other is seen any more, and that is doubtful."""
    found = doctor(tmp_path / "station", new_bench(tokens=16).environment, code=None)
    assert found["pcscd"]["text"] == "16 readers, 16 with a token"
    assert found["room for readers"]["state"] == "doubtful"
    assert found["readers in use"]["state"] == "good"
    assert "readers that are gone" not in found  # that pcscd has none of this machine's USB


def test_a_service_that_is_not_there(tmp_path: Path) -> None:
    """Without pcscd something is bad, what starts it is said, and the exit code is 3."""
    nobody = {"PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")}
    found = doctor(tmp_path / "station", nobody, code=3)
    assert found["pcscd"]["state"] == "bad"
    assert "pcscd" in found["pcscd"]["mend"]
    assert {"nodes of tokens", "clock", "disk"} <= set(found)


def test_rules_come_with_the_program() -> None:
    """The files that are installed are those of udev/, and sort where they count."""
    assert b'GROUP="tokenprov"' in content(UDEV_RULES)
    assert "60-fido-id.rules" < UDEV_RULES.name < "70-uaccess.rules" < "73-seat-late.rules"
    assert b"subject.isInGroup" in content(POLKIT_RULES)


def test_a_home_that_this_user_may_not_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of somebody else's it is told as that, and the disk is looked at all the same."""
    home, real = tmp_path / "others" / "station", os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(str(home)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    found = {one.about: one for one in disk.look(home)}
    assert found["rights of the station home"].state is State.BAD
    assert f"may not look at {home}" in found["rights of the station home"].text
    assert "are free on" in found["disk"].text


def test_who_has_no_name_joins_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a user that nobody entered anywhere."""
    monkeypatch.setattr(os, "geteuid", lambda: 3_000_000_123)
    monkeypatch.setattr(rules, "up_to_date", lambda path: True)
    assert "usermod -aG tokenprov 3000000123" in rules.joining(UDEV_RULES)


def test_installing_rules_is_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user is told what to run."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StationError, match="needs root") as refused:
        install()
    assert refused.value.remedy == "Run: sudo tokenprov doctor --install-udev"
