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


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (
            "three_wrong",
            "30000001 is not put in within 1 s; there is 30000002, which is not touched",
        ),
        ("middle and puk", "30000001 is not put in within 1 s; there is 30000002, which is not"),
    ],
    ids=["at a re-plug", "in the middle of a batch"],
)
def test_another_key_that_is_put_in_is_not_touched(tmp_path: Path, test: str, says: str) -> None:
    """Of two YubiKeys the other comes back: the run ends with that alone, and it is as it was."""
    with VirtualBench(tokens=2, touch="never") as bench:
        serial, other = bench.serials
        bench.control.remove(other)
        before = bench.control.snapshot(other)
        deeds = f"{{'touch': control.press, 'remove': control.remove}}.get(deed, id)({serial})"
        deeds += f"\n    deed == 'insert' and control.insert({other})"
        tests = ("hwtests/test_fido2.py", "hwtests/test_batch.py", "-k", test)
        tests += ("--wipe", str(serial), "--patience", "1")
        done = hwtests(bench, tmp_path, *tests, robot=careless(tmp_path, deeds))
        assert done.returncode == FAILED, done.stdout + done.stderr
        assert says in done.stdout
        assert "1 failed" in done.stdout
        assert "error" not in done.stdout.splitlines()[-1]
        assert bench.control.snapshot(other) == before


def test_who_walks_away_goes_on_later(bench: VirtualBench, tmp_path: Path) -> None:
    """A token that does not come back ends the run at once; the next one leaves it empty."""
    serial = bench.serials[0]
    deeds = f"{{'touch': control.press, 'remove': control.remove}}.get(deed, id)({serial})"
    tests = ("hwtests/test_fido2.py", "-k", "wrong", "--wipe", str(serial), "--patience", "1")
    done = hwtests(bench, tmp_path, *tests, robot=careless(tmp_path, deeds))
    assert done.returncode == FAILED, done.stdout + done.stderr
    assert f"{serial} is not put in within 1 s. With the token in" in done.stdout
    bench.control.insert(serial)
    station = Station(home=tmp_path / "station", environment=bench.environment)
    assert station.run("token", "show", str(serial), "--json").document["used"] != []
    done = hwtests(bench, tmp_path, *tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert station.run("token", "show", str(serial), "--json").document["used"] == []


def test_who_does_not_touch_is_one_finding(bench: VirtualBench, tmp_path: Path) -> None:
    """Asked twice, the run ends with that alone; what did not begin is said to be not run.

    The next run finishes what was begun, and leaves the token empty.
    """
    serial = bench.serials[0]
    bench.control.set_touch(serial, "never", patience=1)
    tests = ("hwtests/test_fido2.py", "hwtests/test_factory.py", "-k", "wrong or room")
    wipe = ("--wipe", str(serial))
    done = hwtests(bench, tmp_path, *tests, *wipe, robot=careless(tmp_path, "pass"))
    assert done.returncode == FAILED, done.stdout + done.stderr
    ended = [one for one in report(tmp_path)["tests"] if one["result"] != Result.NOT_APPLICABLE]
    (failed,) = [one for one in ended if one["result"] == Result.FAILED]
    others = [one for one in ended if one is not failed]
    assert "was not touched, asked twice to make the credential" in failed["reason"]
    assert len(others) >= 2
    assert {(one["result"], one["reason"]) for one in others} == {
        (Result.NOT_RUN, "the run ended before it")
    }
    done = hwtests(bench, tmp_path, *tests, *wipe)
    assert done.returncode == 0, done.stdout + done.stderr
    station = Station(home=tmp_path / "station", environment=bench.environment)
    assert station.run("token", "show", str(serial), "--json").document["used"] == []


def test_who_touches_when_asked_again_goes_on(bench: VirtualBench, tmp_path: Path) -> None:
    """A touch is given only once the token has refused for want of it: nothing fails."""
    serial = bench.serials[0]
    bench.control.set_touch(serial, "never", patience=1)
    refused = f"(0x87, 0x6982) in control.trace({serial})"  # a signature that waited in vain
    deeds = f"late = globals().get('late') or {refused}\n    press = control.press if late else id"
    deeds += "\n    hands = {'touch': press, 'remove': control.remove, 'insert': control.insert}"
    deeds += f"\n    hands[deed]({serial})"
    tests = ("hwtests/test_policies.py", "-k", "touched_key", "--wipe", str(serial))
    done = hwtests(bench, tmp_path, *tests, robot=careless(tmp_path, deeds))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_token_does_not_take_is_one_finding(bench: VirtualBench, tmp_path: Path) -> None:
    """Where the token cannot be issued, its first test fails; those after it are not run, and why.

    Nor can its order be finished, as no root of it is trusted: the end of the run says that it is
    not empty, and that is no finding of its own.
    """
    serial = str(bench.serials[0])
    files = ("hwtests/test_piv.py", "hwtests/test_policies.py")
    command = (*files, "-k", "test_its_key_is_attested or costs or touched", "--wipe", serial)
    done = hwtests(bench, tmp_path, *command, trust=False)
    assert done.returncode == FAILED, done.stdout + done.stderr
    assert "1 error, 3 not run" in done.stdout
    assert "The token is not empty" in done.stdout
    ended = {one["test"]: one for one in report(tmp_path)["tests"]}
    first = ended.pop("hwtests/test_piv.py::test_its_key_is_attested")
    assert first["result"] == Result.FAILED
    not_run = [one["reason"] for one in ended.values() if one["result"] == Result.NOT_RUN]
    assert not_run == [f"what it needs failed in {first['test']}"] * 3


def test_a_robot_that_is_gone_ends_the_run(bench: VirtualBench, tmp_path: Path) -> None:
    """It is said, and no test after it is tried."""
    serial = str(bench.serials[0])
    bench.control.set_touch(bench.serials[0], "never", patience=1)
    tests = ("hwtests/test_fido2.py", "-k", "wrong", "--wipe", serial)
    done = hwtests(bench, tmp_path, *tests, robot=careless(tmp_path, "sys.exit()"))
    assert done.returncode == FAILED, done.stdout + done.stderr
    results = [one["result"] for one in report(tmp_path)["tests"]]
    assert (results.count(Result.FAILED), results.count(Result.NOT_RUN)) == (1, 1)
    assert "the robot ended at" in done.stdout


@pytest.mark.parametrize(
    "models",
    [("yubikey-5.7.4", "yubikey-5.7.4"), ("yubikey-4.3.7", "yubikey-5.2.7")],
    ids=["of one kind", "by a newer one"],
)
def test_a_token_is_replaced_by_its_spare(tmp_path: Path, models: tuple[str, str]) -> None:
    """With a second token named, `replace` is done to its end; both are empty afterwards."""
    with VirtualBench(tokens=2, model=models, touch="never") as bench:
        serial, spare = map(str, bench.serials)
        tests = ("hwtests/test_replace.py", "--wipe", serial)
        done = hwtests(bench, tmp_path, *tests, "--spare", spare)
        assert done.returncode == 0, done.stdout + done.stderr
        assert report(tmp_path)["counts"][Result.PASSED] == 1
        station = Station(home=tmp_path / "station", environment=bench.environment)
        for one in (serial, spare):
            assert station.run("token", "show", one, "--json").document["used"] == []
