"""Custodians change their keys: what is sealed moves, what comes is sealed to the new one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.home import Home
from tokenprov.model import Purpose
from tokenprov.record.database import sqlite_url
from tokenprov.record.escrow import generate_custodian, load_public
from tokenprov.record.ledger import Ledger
from tokenprov.record.sealed import Move, SealedBook
from tokenprov.sim.bench import VirtualBench

WHY = ("--reason", "hana has left", "--operator", "olga")


@pytest.fixture
def issued(station: Station, token: TokenUnderTest) -> Station:
    """A station that has issued one token."""
    assert station.tell(*station.batch()).code == 0
    return station


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A custodian's new pair; `.pem` is the public half."""
    private, public = generate_custodian()
    (tmp_path / "new.key").write_bytes(private)
    (tmp_path / "new.pem").write_bytes(public)
    return tmp_path / "new"


def old_key(station: Station) -> Path:
    """The help desk's first key."""
    return station.home / "custodians" / "private" / "help-desk.pem"


def reseal(station: Station, new: Path) -> Said:
    """Move what the help desk has to the new key."""
    to = f"help-desk={new.with_suffix('.pem')}"
    return station.tell("escrow", "reseal", "--from-key", old_key(station), "--to", to, *WHY)


def opened(station: Station, serial: str, key: Path, *options: str) -> list[dict[str, Any]]:
    """What a key of the help desk opens."""
    said = station.tell(
        *("escrow", "open", serial, "--purpose", "help-desk", "--key", key, *WHY),
        *("--json", *options),
    )
    assert said.code == 0, said.err
    document: list[dict[str, Any]] = said.document
    return document


def test_there_is_no_way_back(issued: Station, token: TokenUnderTest, new: Path) -> None:
    """To a key that was taken over from nothing is moved, and that is told; nor is it recorded."""
    before = opened(issued, token.serial, old_key(issued))
    assert reseal(issued, new).code == 0
    first = f"help-desk={issued.home / 'custodians' / 'help-desk.pem'}"
    move = ("escrow", "reseal", "--from-key", new.with_suffix(".key"), "--to", first, *WHY)
    said = issued.tell(*move)
    assert (said.code, "was moved away from key" in said.err) == (2, True), said.err
    assert len(issued.entries("resealed")) == 1
    assert opened(issued, token.serial, new.with_suffix(".key")) == before
    assert reseal(issued, new).code == 0  # a second time is fine


def test_everything_moves_and_nothing_is_shown(
    issued: Station, token: TokenUnderTest, new: Path
) -> None:
    """The new key opens the same secrets, in the same state; the old envelopes are superseded."""
    before = opened(issued, token.serial, old_key(issued))
    said = reseal(issued, new)
    assert said.code == 0, said.err
    assert said.out == ""
    for secret in issued.secrets(token.serial).values():
        assert secret not in said.err
    assert opened(issued, token.serial, new.with_suffix(".key")) == before
    kid = load_public(new.with_suffix(".pem")).kid
    listed = issued.tell("escrow", "list", "--purpose", "help-desk", "--json").document
    assert {one["kid"] for one in listed} == {kid}
    everything = issued.tell("escrow", "list", "--purpose", "help-desk", "--all", "--json").document
    states = {one["state"] for one in everything if one["kid"] != kid}
    assert states == {"superseded"}
    assert len(everything) == 2 * len(listed)
    again = opened(issued, token.serial, old_key(issued), "--all")
    assert [one["value"] for one in again] == [one["value"] for one in before]


def test_a_move_is_an_entry_with_its_envelopes(
    issued: Station, token: TokenUnderTest, new: Path
) -> None:
    """Who, why, from which key to which; the manifest holds the new envelopes and verifies."""
    assert reseal(issued, new).code == 0
    (entry,) = issued.entries("resealed")
    issue = issued.entry_of(token.serial)
    assert entry["token"] == issue["token"]
    assert (entry["operator"], entry["reason"]) == ("olga", "hana has left")
    assert entry["from"] == load_public(issued.home / "custodians" / "help-desk.pem").kid
    names = [one["name"] for one in issue["secrets"] if one["purpose"] == "help-desk"]
    assert [one["name"] for one in entry["secrets"]] == names
    kid = load_public(new.with_suffix(".pem")).kid
    assert {one["kid"] for one in entry["secrets"]} == {kid}
    assert issued.tell("manifest", "verify").code == 0


def test_a_move_that_was_cut_off_is_taken_up(
    issued: Station, token: TokenUnderTest, new: Path
) -> None:
    """Where the entry is durable and the ledger did not follow, the same command ends it."""
    kept = issued.home.with_name("ledger.sqlite")
    database = issued.home / "ledger.sqlite"
    with closing(sqlite3.connect(database)) as open_, closing(sqlite3.connect(kept)) as copy:
        open_.backup(copy)
    assert reseal(issued, new).code == 0
    for path in issued.home.glob("ledger.sqlite*"):
        path.unlink()
    shutil.copyfile(kept, database)
    assert len(opened(issued, token.serial, old_key(issued))) > 0
    said = reseal(issued, new)
    assert said.code == 0, said.err
    assert "0 secrets of 0 tokens" in said.err
    assert len(issued.entries("resealed")) == 1
    in_entry = {one["sha256"] for one in issued.entries("resealed")[0]["secrets"]}
    listed = issued.tell("escrow", "list", "--purpose", "help-desk", "--json").document
    assert {one["sha256"] for one in listed} == in_entry
    assert len(opened(issued, token.serial, new.with_suffix(".key"))) == len(in_entry)


def test_a_move_fails_as_a_whole(
    issued: Station, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that cannot be written has moved nothing, and the next run does it all."""
    real = SealedBook.move

    def fail(self: SealedBook, moves: Sequence[Move]) -> None:
        stranger = [
            replace(move, old="0" * 64, new=replace(move.new, sha256="f" * 64)) for move in moves
        ]
        real(self, [*moves, *stranger])

    monkeypatch.setattr(SealedBook, "move", fail)
    assert reseal(issued, new).code == 3
    ledger = Ledger(sqlite_url(issued.home / "ledger.sqlite"), station="bench")
    old = load_public(issued.home / "custodians" / "help-desk.pem").kid
    assert {e.kid for e in ledger.envelopes(purpose="help-desk")} == {old}
    ledger.close()
    monkeypatch.undo()
    assert reseal(issued, new).code == 0
    assert issued.tell("manifest", "verify").code == 0


def test_what_is_not_resealed(issued: Station, new: Path) -> None:
    """Another custodian's key, a stranger's, and the same key: nothing moves, nothing recorded."""
    same = f"help-desk={issued.home / 'custodians' / 'help-desk.pem'}"
    pem = new.with_suffix(".pem")
    for key, to, code, why in (
        (old_key(issued), same, 2, "is the old one"),
        (old_key(issued), f"break-glass={pem}", 7, "nothing is sealed to key"),
        (new.with_suffix(".key"), same, 7, "nothing is sealed to key"),
        (old_key(issued), f"nobody={pem}", 2, "is not PURPOSE=FILE"),
    ):
        said = issued.tell("escrow", "reseal", "--from-key", key, "--to", to, *WHY)
        assert (said.code, why in said.err) == (code, True), said
    assert issued.entries("resealed") == []


def test_rotate_changes_what_comes(
    issued: Station, token: TokenUnderTest, new: Path, one_reader: VirtualBench
) -> None:
    """The next token's secrets are sealed to the new key; the change is on record, once."""
    to = f"help-desk={new.with_suffix('.pem')}"
    old = load_public(issued.home / "custodians" / "help-desk.pem").kid
    kid = load_public(new.with_suffix(".pem")).kid
    said = issued.tell("escrow", "rotate", to, *WHY)
    assert said.code == 0, said.err
    (entry,) = issued.entries("custodian-changed")
    assert (entry["purpose"], entry["from"], entry["to"]) == ("help-desk", old, kid)
    assert issued.tell("escrow", "rotate", to, *WHY).code == 2
    assert Home.open(issued.home).custodians[Purpose.HELP_DESK].kid == kid
    one_reader.control.replace(0, model="yubikey-5.7.4", serial=31_900_001)
    one_reader.control.set_touch(31_900_001, "auto")
    assert issued.tell(*issued.batch(holders=2, name="second")).code == 8  # one of two is left
    assert len(opened(issued, "31900001", new.with_suffix(".key"))) > 0
    assert issued.tell("manifest", "verify").code == 0


def test_a_rotation_that_was_cut_off_is_recorded_once(issued: Station, new: Path) -> None:
    """Where the entry is durable and the file is the old one, the same command only writes it."""
    public = issued.home / "custodians" / "help-desk.pem"
    before = public.read_bytes()
    to = f"help-desk={new.with_suffix('.pem')}"
    assert issued.tell("escrow", "rotate", to, *WHY).code == 0
    public.write_bytes(before)
    assert issued.tell("escrow", "rotate", to, *WHY).code == 0
    assert public.read_bytes() == new.with_suffix(".pem").read_bytes()
    assert len(issued.entries("custodian-changed")) == 1
