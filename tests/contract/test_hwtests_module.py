"""The tests for real tokens on one behind a PKCS#11 module: SoftHSM's."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwtests.report import Result
from tests.hwtests_run import report, started
from tests.module_station import PUBLISHED
from tests.softhsm import SOFTHSM, SoftHsm
from tests.stations import Station
from tokenprov.pkcs11 import Module, TokenInfo

USAGE = 4  # pytest's exit code
NO_ROBOT = "cat"  # says nothing of its own: such a token is not touched


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftHsm:
    """Two tokens as their maker delivers them."""
    made = SoftHsm.create(tmp_path / "hsm")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    for label in ("first", "second"):
        made.deliver(label, PUBLISHED)
    return made


def delivered() -> dict[str, TokenInfo]:
    """What the module tells of its tokens, by their serials."""
    with Module(SOFTHSM) as module:
        return {one.serial: one for one in module.tokens() if one.serial}


def test_all_pass_on_a_token_behind_a_module(hsm: SoftHsm, tmp_path: Path) -> None:
    """All that apply pass, twice on one bench; the token is empty, the other is as it was."""
    serial, other = sorted(delivered())
    before = delivered()[other]
    options = ("--module", "softhsm2", "--so-pin", PUBLISHED, "--wipe", serial)
    for run in (1, 2):
        done = started(hsm.environment, tmp_path, "hwtests", *options, robot=NO_ROBOT)
        assert done.returncode == 0, f"run {run}\n{done.stdout}{done.stderr}"
        assert report(tmp_path)["counts"][Result.PASSED] == 6
    assert report(tmp_path)["token"]["transports"] == ["pkcs11"]
    assert not delivered()[serial].has_pin
    assert delivered()[other] == before
    station = Station(home=tmp_path / "station", environment=hsm.environment)
    shown = station.run("token", "show", serial, "--module", "softhsm2", "--json")
    assert shown.document["used"] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "is meant by its serial"),
        (("--wipe", "12345678"), "no token 12345678 is plugged in"),
    ],
    ids=["nobody is named", "another serial"],
)
def test_none_is_touched_without_its_name(
    hsm: SoftHsm, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    """The run ends before the first test."""
    before = delivered()
    behind = ("--module", "softhsm2", *options)
    done = started(hsm.environment, tmp_path, "hwtests", *behind, robot=NO_ROBOT)
    assert done.returncode == USAGE
    assert says in done.stderr
    assert "Nothing was touched" in done.stderr
    assert delivered() == before
