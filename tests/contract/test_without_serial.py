"""Tokens without a serial in the line: marked, counted, one at a time, and known again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import restore_bench
from tests.crash.held import is_held
from tests.crash.points import ANY, Point
from tests.crash.station import station as crash_station
from tests.stations import Station, ended
from tests.token_under_test import Ins
from tokenprov.record.manifest import verify_manifest
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.faults import FaultKind

MODEL = "security-key-5.7"
SECURITY_KEY = "security-key"
PIN = "fido2/pin"
ANNOUNCED = ("--without-serial", "1")
KILLS = 16  # over one making


@pytest.fixture
def keys(shared_bench: VirtualBench) -> Iterator[VirtualBench]:
    """A blank Security Key in the first reader, the second one unplugged."""
    restore_bench(shared_bench)
    shared_bench.control.unplug_reader(1)
    shared_bench.control.replace(0, model=MODEL)
    yield shared_bench
    shared_bench.control.replace(0, model="yubikey-5.7.4", serial=30_000_001)
    restore_bench(shared_bench)


def batch(station: Station, *options: str, holders: int = 1) -> tuple[str | Path, ...]:
    """The command for so many holders, one key each."""
    return (*station.batch(holders=holders, profile=SECURITY_KEY), *options)


def test_one_that_was_not_announced_is_left_alone(station: Station, keys: VirtualBench) -> None:
    """It is passed over with the option that announces it, and nothing is made on it."""
    before = keys.control.snapshot(0)
    said = station.tell(*batch(station))
    assert said.code == 8
    assert "--without-serial" in str(said.only("TokenPassedOver")["remedy"])
    assert keys.control.snapshot(0) == before


def test_it_is_issued_by_its_mark(station: Station, keys: VirtualBench) -> None:
    """The entry has a mark for a serial; custodians open its PIN by that, and it is known again."""
    said = station.tell(*batch(station, "--without-serial", "1"))
    assert said.code == 0, said.err
    mark = str(said.only("TokenIssued")["label"])
    (order,) = said.document["orders"]
    assert (order["serial"], order["mark"]) == (None, mark)
    (entry,) = station.entries()
    assert entry["token"]["serial"] is None
    assert entry["token"]["mark"] == mark
    assert entry["token"]["virtual"] is True
    assert entry["token"]["grade"] == "asserted"
    assert mark.startswith("e77e3c64-")  # of its AAGUID
    assert station.secrets(mark).keys() == {"fido2/pin"}
    assert station.tell("manifest", "history", mark, "--json").code == 0
    assert station.tell("manifest", "verify").code == 0
    again = station.tell(*batch(station, holders=2))
    assert again.only("TokenReady")["label"] == mark


def test_it_is_audited_by_its_mark(station: Station, keys: VirtualBench) -> None:
    """It proves the mark before it is compared; a key that does not is not taken for it."""
    assert station.tell(*batch(station, "--without-serial", "1")).code == 0
    mark = station.entries()[0]["token"]["mark"]
    (made,) = station.tell("token", "audit", mark, "--json").document["tokens"]
    assert (made["serial"], made["mark"], made["drift"]) == (None, mark, False)
    assert made["holder"] == "Ada Okonkwo"
    assert {one["standing"] for one in made["settings"]} == {"same", "unknown"}
    (every,) = station.tell("token", "audit", "--all", "--json").document["tokens"]
    assert every == made
    keys.control.replace(0, model=MODEL)
    gone = station.tell("token", "audit", mark)
    assert gone.code == 4
    assert "no such token" in gone.err
    (blank,) = station.tell("token", "audit", "--all", "--json").document["tokens"]
    assert (blank["entry"], blank["drift"]) == (None, False)


def test_it_is_suspended_and_revoked_by_its_mark(station: Station, keys: VirtualBench) -> None:
    """A lost key needs not be there: what relies on it is held, and then ended, on the record."""
    assert station.tell(*batch(station, "--without-serial", "1")).code == 0
    mark = station.entries()[0]["token"]["mark"]
    keys.control.remove(0)
    for command, reason, kind in (
        ("suspend", "left in a train", "suspended"),
        ("revoke", "lost", "revoked"),
    ):
        said = station.tell(command, mark, "--reason", reason)
        assert said.code == 0, said.err
        (entry,) = station.entries(kind)
        assert entry["token"]["mark"] == mark
        assert "done" in {one["outcome"] for one in entry["credentials"]}
    assert station.tell("token", "prove", mark).code == 4
    assert station.tell("trace", mark).code == 0
    assert station.tell("manifest", "verify").code == 0


def test_pulled_it_goes_on_with_its_own_order(station: Station, keys: VirtualBench) -> None:
    """After a pull in its making another key gets the other order, and it finishes its own."""
    keys.control.fault(0, FaultKind.UNPLUG_DURING, at=12, ins=Ins.CTAP)
    cut = station.tell(*batch(station, "--without-serial", "2", holders=2))
    assert cut.code == 8
    failed = cut.only("OrderFailed")
    kept = keys.control.snapshot(0)

    keys.control.replace(0, model=MODEL)
    other = station.tell(*batch(station, "--without-serial", "1", holders=2))
    assert other.code == 8
    assert other.only("TokenIssued")["order"] != failed["order"]
    assert other.only("TokenIssued")["label"] != failed["label"]

    keys.control.replace(0, model=MODEL)
    keys.control.restore(0, kept)
    done = station.tell(*batch(station, holders=2))
    assert done.code == 0, done.err
    assert done.only("OrderStarted")["resumed"] is True
    assert done.only("TokenIssued")["order"] == failed["order"]
    assert done.only("TokenIssued")["label"] == failed["label"]
    assert len(station.entries()) == 2


def test_a_bad_one_is_set_aside_by_its_mark(station: Station, keys: VirtualBench) -> None:
    """It is never taken again, and its order goes to the next one."""
    keys.control.set_touch(0, "after 0.01", patience=0.3)
    keys.control.fault(0, FaultKind.MEMORY_FULL, at=12, ins=Ins.CTAP)
    cut = station.tell(*batch(station, "--without-serial", "1"))
    failed = cut.only("OrderFailed")
    mark = str(failed["label"])
    done = station.tell("batch", "set-aside", mark, "--reason", "it has no memory")
    assert done.code == 0, done.err
    (entry,) = station.entries("set-aside")
    assert (entry["token"]["serial"], entry["token"]["mark"]) == (None, mark)
    assert entry["token"]["virtual"] is True
    again = station.tell(*batch(station, "--without-serial", "1"))
    assert "was set aside" in str(again.only("TokenPassedOver")["reason"])
    keys.control.replace(0, model=MODEL)
    last = station.tell(*batch(station, "--without-serial", "1"))
    assert last.code == 0, last.err
    assert last.only("TokenIssued")["order"] == failed["order"]
    assert station.tell("manifest", "verify").code == 0


def test_one_more_than_was_announced_stops_the_line(station: Station, keys: VirtualBench) -> None:
    """The count does not add up: the line ends, and the key that is too many stays blank."""
    keys.control.plug_reader(1)
    keys.control.replace(1, model=MODEL)
    keys.control.remove(1)
    running = station.start(*batch(station, "--without-serial", "1", "--wait", "20", holders=2))
    assert running.stderr is not None
    while "TokenIssued" not in running.stderr.readline():
        assert running.poll() is None
    before = keys.control.snapshot(1)
    keys.control.insert(1)
    said = ended(running)
    assert said.code == 3
    assert "this is one more" in said.err
    assert keys.control.snapshot(1) == before
    assert len(station.entries()) == 1


def test_two_at_once_are_not_taken(station: Station, keys: VirtualBench) -> None:
    """While one is worked on, another one is left alone, and told to wait."""
    keys.control.plug_reader(1)
    keys.control.replace(1, model=MODEL)
    for number in range(2):
        keys.control.set_touch(number, "after 0.5")
    said = station.tell(*batch(station, "--without-serial", "2", holders=2))
    assert said.code == 8
    assert "One at a time" in str(said.only("TokenPassedOver")["remedy"])
    assert len(station.entries()) == 1


def test_killed_anywhere_it_finishes(tmp_path: Path) -> None:
    """Killed at points spread over its making, the same command issues it once, with its PIN."""
    with crash_station(tmp_path, model=MODEL, profile=SECURITY_KEY) as made:
        made.fresh(MODEL)
        whole = made.issue(*ANNOUNCED)
        assert whole.status == 0, whole.said
        for turn in range(1, len(whole.points), len(whole.points) // KILLS):
            made.fresh(MODEL)
            made.issue(*ANNOUNCED, stop=Point(name=ANY, turn=turn))
            run = made.issue(*ANNOUNCED)
            assert run.status == 0, f"killed at {turn}: {run.said}"
            (order,) = made.rows("SELECT token_label, state FROM orders")
            state = made.control.snapshot(0)["applets"]["fido2"]
            pins = [one for one in made.sealed(order["token_label"]) if one.context.name == PIN]
            assert order["state"] == "issued"
            assert len(pins) == 2, turn  # for the help desk, and for break-glass
            assert all(is_held(PIN, bytes.fromhex(state["pin_hash"]), one.value) for one in pins)
            assert len(state["credentials"]) == 1
            report = verify_manifest(made.home / "manifest")
            assert (report.holds, report.issued) == (True, 1), turn
