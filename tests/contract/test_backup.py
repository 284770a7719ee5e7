"""A station home in one sealed file: restored elsewhere, it goes on; an old one does not fork."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.test_unblock import key_of
from tests.stations import Said, Station, tell
from tests.token_under_test import TokenUnderTest
from tokenprov.model import Purpose
from tokenprov.record.ledger import Ledger
from tokenprov.sim.bench import VirtualBench


class Cut(BaseException):
    """The power fails."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where backups go."""
    return tmp_path / "station.backup"


def restore(station: Station, file: Path, into: Path, *options: str | Path) -> Said:
    """By break-glass."""
    key = key_of(station, Purpose.BREAK_GLASS)
    return tell("restore", file, into, "--key", key, *options, "--json")


def test_a_restored_home_finishes_what_was_begun(
    station: Station,
    token: TokenUnderTest,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off in the middle of a token, backed up, and burnt: on another machine it is issued."""
    commits = 0
    journal = Ledger.journal

    def fail(*arguments: object) -> None:
        nonlocal commits
        commits += 1
        if commits == 6:
            raise Cut
        journal(*arguments)  # type: ignore[arg-type]  # whatever it was called with

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "journal", fail)
        with pytest.raises(Cut):
            station.tell(*station.batch())
    said = station.tell("backup", file, "--json")
    assert said.code == 0, said.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"Okonkwo" not in file.read_bytes()
    private = tmp_path / "safe"
    shutil.move(station.home / "custodians" / "private", private)
    shutil.rmtree(station.home)

    elsewhere = Station(home=tmp_path / "elsewhere", environment=station.environment)
    key = private / "break-glass.pem"
    restored = tell("restore", file, elsewhere.home, "--key", key, "--nothing-later", "--json")
    assert restored.code == 0, restored.err
    assert restored.document == said.document
    assert not (elsewhere.home / "custodians" / "private").exists()
    again = elsewhere.tell(*elsewhere.batch())
    assert again.code == 0, again.err
    assert again.only("OrderStarted")["resumed"]
    assert elsewhere.tell("manifest", "verify").code == 0
    shutil.move(private, elsewhere.home / "custodians" / "private")
    assert len(elsewhere.secrets(token.serial)) == 8


def test_an_old_backup_does_not_fork_the_log(
    station: Station, token: TokenUnderTest, file: Path, tmp_path: Path
) -> None:
    """With a checkpoint of a longer log it is refused; with an earlier one it is not."""
    early = (station.home / "manifest" / "checkpoint").read_bytes()
    (tmp_path / "early").write_bytes(early)
    assert station.tell(*station.batch()).code == 0
    assert station.tell("backup", file).code == 0
    assert station.tell("suspend", token.serial, "--reason", "a test").code == 0
    into = tmp_path / "elsewhere"
    assert restore(station, file, into).code == 2
    late = station.home / "manifest" / "checkpoint"
    refused = restore(station, file, into, "--checkpoint", late)
    assert refused.code == 6
    assert "3 entries were signed before, and there are 2 now" in refused.err
    assert not into.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    taken = restore(station, file, into, "--checkpoint", tmp_path / "early")
    assert taken.code == 0, taken.err
    again = restore(station, file, into, "--nothing-later")
    assert again.code == 3


RECORDS = """
import sys
from pathlib import Path
from tokenprov.home import Home
from tokenprov.record.entry import entry_head
from tokenprov.record.kinds import Kind

home = Home.open(Path(sys.argv[1]))
facts = {"drill": "shares", "outcome": "passed", "facts": {}}
with home.recording():
    while True:
        head = entry_head(Kind.DRILL, time=home.clock(), station=home.name, operator="olga")
        print(home.manifest.append({**head, **facts}), flush=True)
"""


def test_a_backup_beside_somebody_who_records(station: Station, tmp_path: Path) -> None:
    """However fast another process appends, each backup is of one moment, and restores."""
    sizes = []
    command = [sys.executable, "-c", RECORDS, str(station.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as recorder:
        try:
            assert recorder.stdout is not None
            for number in range(4):
                for _ in range(3):
                    assert recorder.stdout.readline()  # it is recording
                file = tmp_path / f"{number}.backup"
                said = station.tell("backup", file, "--json")
                assert said.code == 0, said.err
                restored = restore(station, file, tmp_path / f"{number}", "--nothing-later")
                assert restored.code == 0, restored.err
                assert restored.document == said.document
                sizes.append(said.document["entries"])
            assert recorder.poll() is None, "it ended by itself"
        finally:
            recorder.kill()
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("change", ["cut", "bit", "header", "key"])
def test_what_was_changed_does_not_open(
    station: Station, file: Path, tmp_path: Path, change: str
) -> None:
    """Cut off, changed anywhere, or opened with another key: nothing is restored of it."""
    assert station.tell("backup", file).code == 0
    data = bytearray(file.read_bytes())
    key = key_of(station, Purpose.BREAK_GLASS)
    if change == "cut":
        data = data[: -(len(data) % 65_552) or -65_552]
    elif change == "bit":
        data[-1] ^= 1
    elif change == "header":
        data = data.replace(b'"station":"bench"', b'"station":"bensh"', 1)
    else:
        key = key_of(station, Purpose.HELP_DESK)
    changed = tmp_path / "changed"
    changed.write_bytes(data)
    said = tell("restore", changed, tmp_path / "new", "--key", key, "--nothing-later")
    assert said.code == 7, said.err
    assert not (tmp_path / "new").exists()


def test_a_backup_waits_for_nobody_and_overwrites_nothing(
    station: Station, file: Path, one_reader: VirtualBench
) -> None:
    """A file that is there is refused, and so is no file of a station."""
    file.write_text("mine", encoding="utf-8")
    said = station.tell("backup", file)
    assert said.code == 2
    assert file.read_text(encoding="utf-8") == "mine"
    none = restore(station, file, file.with_name("new"), "--nothing-later")
    assert none.code == 7
    assert "not a sealed file" in none.err
    assert json.loads(station.tell("manifest", "show", "--json").out)
