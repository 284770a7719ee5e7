"""The tests for real tokens on other kinds of token, and where something is in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hwtests.report import Result
from tests.hwtests_run import FAILED, careless, hwtests, report
from tests.stations import Station, make_station
from tokenprov.sim.bench import VirtualBench


@pytest.fixture
def bench() -> Iterator[VirtualBench]:
    """A YubiKey that nobody touches."""
    with VirtualBench(touch="never") as made:
        yield made


@pytest.mark.parametrize(
    ("model", "aes"), [("yubikey-4.3.7", "cannot"), ("yubikey-5.4.3-fips", "can")]
)
def test_other_tokens_have_what_they_have(tmp_path: Path, model: str, aes: str) -> None:
    """Policies and management key; a YubiKey 4 is told that it knows no AES."""
    with VirtualBench(model=model, touch="never") as bench:
        serial = str(bench.serials[0])
        done = hwtests(bench, tmp_path, "hwtests/test_policies.py", "--wipe", serial)
        assert done.returncode == 0, done.stdout + done.stderr
        ended = {one["test"].rpartition("_key_")[2]: one for one in report(tmp_path)["tests"]}
        results = {name: ended[f"{name}_be_aes"]["result"] for name in ("can", "cannot")}
        assert [name for name, one in results.items() if one == Result.PASSED] == [aes]
        assert Result.NOT_APPLICABLE in results.values()


@pytest.mark.parametrize("model", ["piv-card", "piv-card-t0"])
def test_a_card_stays_issued(tmp_path: Path, model: str) -> None:
    """Of another maker, named by its GUID: a second run judges what the first one issued."""
    with VirtualBench(model=model, touch="never") as bench:
        station = make_station(tmp_path / "elsewhere", bench.environment)
        station.run("token", "name", "--all")
        (card,) = station.run("token", "list", "--json").document
        for number in (1, 2):
            tests = ("hwtests", "--wipe", card["serial"])
            done = hwtests(bench, tmp_path, *tests)
            assert done.returncode == 0, f"run {number}\n{done.stdout}{done.stderr}"
            assert report(tmp_path)["counts"][Result.PASSED] == 5
        made = report(tmp_path)["token"]
        assert (made["model"].partition(" card ")[0], made["firmware"]) == ("PIV", "")


def test_another_token_that_is_put_in_is_not_reset(tmp_path: Path) -> None:
    """Of two Security Keys the other comes back: it keeps its PIN, the run ends and says so."""
    with VirtualBench(tokens=2, model="security-key-5.7", touch="never") as bench:
        used = bench.control.snapshot(1)
        used["applets"]["fido2"]["pin_hash"] = "00" * 16
        bench.control.restore(1, used)
        bench.control.remove(1)
        deeds = "{'touch': lambda: control.press(0), 'remove': lambda: control.remove(0),"
        robot = careless(tmp_path, f"{deeds} 'insert': lambda: control.insert(1)}}[deed]()")
        tests = ("hwtests/test_unnumbered.py", "-k", "mark", "--wipe-only-token")
        done = hwtests(bench, tmp_path, *tests, robot=robot)
        assert done.returncode == FAILED, done.stdout + done.stderr
        assert "another token was put in, and was not reset" in done.stdout
        after = bench.control.snapshot(1)["applets"]["fido2"]
        assert after["pin_hash"] == "00" * 16


def test_who_walks_away_goes_on_later(bench: VirtualBench, tmp_path: Path) -> None:
    """A token that does not come back ends the run at once; the next one leaves it empty."""
    serial = bench.serials[0]
    deeds = f"{{'touch': control.press, 'remove': control.remove}}.get(deed, id)({serial})"
    tests = ("hwtests/test_fido2.py", "-k", "wrong", "--wipe", str(serial), "--patience", "1")
    done = hwtests(bench, tmp_path, *tests, robot=careless(tmp_path, deeds))
    assert done.returncode == FAILED, done.stdout + done.stderr
    assert f"{serial} is not put in within 1 s. Put the token in" in done.stdout
    bench.control.insert(serial)
    station = Station(home=tmp_path / "station", environment=bench.environment)
    assert station.run("token", "show", str(serial), "--json").document["used"] != []
    done = hwtests(bench, tmp_path, *tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert station.run("token", "show", str(serial), "--json").document["used"] == []
