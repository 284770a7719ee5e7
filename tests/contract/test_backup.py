"""A station home in one sealed file: restored elsewhere, it goes on; an old one does not fork."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import fresh_token
from tests.contract.test_standing import certificate_of, revoked
from tests.contract.test_unblock import key_of
from tests.people import added
from tests.stations import Said, Station, tell
from tests.token_under_test import TokenUnderTest
from tokenprov.device.piv import Piv
from tokenprov.model import Purpose
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

    def cut(*_: object) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Piv, "change_puk", cut)  # what was promised before it is on the token
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


OTHER = """name = "other"
extends = "standard-employee"
without = ["otp"]
"""


@pytest.fixture
def burnt(
    station: Station, token: TokenUnderTest, file: Path, one_reader: VirtualBench, tmp_path: Path
) -> tuple[Station, Path, Path, dict[str, dict[str, str]]]:
    """A backup after the first token, a day of work, a copy of the manifest, and a fire.

    Gives the station as it was, the copy, the custodians' keys, and the secrets by serial.
    """
    assert station.tell(*station.batch()).code == 0
    assert station.tell("backup", file).code == 0
    key = key_of(station, Purpose.HELP_DESK)
    assert station.tell("rotate", token.serial, "--key", key, "--reason", "yearly").code == 0
    assert station.tell("suspend", token.serial, "--reason", "at home").code == 0
    other = tmp_path / "other.toml"
    other.write_text(OTHER)
    lines = station.roster(2).read_text().splitlines()
    station.home.with_name("second.csv").write_text("\n".join([lines[0], lines[2], ""]))
    second = fresh_token(one_reader, "yubikey-5.7.4").serial
    run = ("batch", "run", station.home.with_name("second.csv"), "--profile", other)
    assert station.tell(*run).code == 0
    third = fresh_token(one_reader, "yubikey-5.7.4").serial
    assert station.tell("replace", second, "--reason", "stolen").code == 0
    secrets = {serial: station.secrets(serial) for serial in (token.serial, second, third)}
    copy = tmp_path / "copy"
    shutil.copytree(station.home / "manifest", copy)
    private = tmp_path / "safe"
    shutil.move(station.home / "custodians" / "private", private)
    shutil.rmtree(station.home)
    return station, copy, private, secrets


def test_a_copy_of_the_manifest_brings_the_rest(
    burnt: tuple[Station, Path, Path, dict[str, dict[str, str]]], file: Path, tmp_path: Path
) -> None:
    """Tokens, secrets, certificates and passkeys are as they were, and the log goes on."""
    old, copy, private, secrets = burnt
    first, second, third = secrets
    checkpoint = copy / "checkpoint"
    command = ("restore", file, tmp_path / "elsewhere", "--key", private / "break-glass.pem")
    missing = tell(*command, "--manifest", copy)
    assert missing.code == 2
    assert "issued by profile other" in missing.err
    assert not (tmp_path / "elsewhere").exists()
    given = ("--manifest", copy, "--profile", tmp_path / "other.toml")
    said = tell(*command, *given, "--checkpoint", checkpoint, "--json")
    assert said.code == 0, said.err
    new = Station(home=tmp_path / "elsewhere", environment=old.environment)
    shutil.move(private, new.home / "custodians" / "private")
    assert said.document["later"] == len(new.tell("manifest", "show", "--json").document) - 2
    assert any("order them anew" in one for one in said.document["lost"])
    assert {serial: new.secrets(serial) for serial in secrets} == secrets
    states = {
        one["serial"]: one["state"]
        for holder in ("E1", "E2")
        for one in new.tell("holder", "tokens", holder, "--json").document
    }
    assert states == {first: "suspended", second: "revoked", third: "held"}
    assert revoked(new) == {
        certificate_of(new, first): "certificateHold",
        certificate_of(new, second): "keyCompromise",
    }
    relying = [
        (one["serial"], one["step"].split("/")[0], one["accepted"])
        for holder in ("E1", "E2")
        for one in new.tell("holder", "show", holder, "--json").document["relying"]
        if not one["step"].startswith("otp/")
    ]
    assert sorted(set(relying)) == sorted(
        {(serial, what, serial != second) for serial in secrets for what in ("piv", "fido2")}
    )
    audit = new.tell("token", "audit", third)
    assert audit.code == 0, audit.out
    assert new.tell("resume", first, "--reason", "it came by mail").code == 0
    assert certificate_of(new, first) not in revoked(new)
    grown = ("manifest", "verify", "--pin", checkpoint)
    assert new.tell(*grown).code == 0
    leave = new.tell("holder", "leave", "E2", "--reason", "end of contract")
    assert leave.code == 0, leave.err
    assert new.tell("batch", "status", "--json").code == 0


@pytest.mark.parametrize("change", ["older", "another", "entry", "blob", "forked"])
def test_a_copy_that_does_not_continue_is_not_taken(
    station: Station,
    token: TokenUnderTest,
    file: Path,
    tmp_path: Path,
    one_reader: VirtualBench,
    change: str,
) -> None:
    """Older than the backup, another station's, changed, or of another way: nothing is restored."""
    copy = tmp_path / "copy"
    shutil.copytree(station.home / "manifest", copy)
    fork = tmp_path / "fork"
    shutil.copytree(station.home, fork)
    assert station.tell(*station.batch()).code == 0
    assert station.tell("backup", file).code == 0
    assert station.tell("suspend", token.serial, "--reason", "a test").code == 0
    if change == "another":
        shutil.rmtree(copy)
        assert tell("init", tmp_path / "other", "--name", "bench").code == 0
        shutil.copytree(tmp_path / "other" / "manifest", copy)
    elif change == "forked":
        shutil.rmtree(copy)
        for name in ("rita", "ralf", "rosa"):
            added(Station(home=fork), name, "requester")
        shutil.copytree(fork / "manifest", copy)
    elif change != "older":
        shutil.rmtree(copy)
        shutil.copytree(station.home / "manifest", copy)
        files = copy / ("blobs" if change == "blob" else "tile/entries")
        path = next(one for one in sorted(files.rglob("*")) if one.is_file())
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    said = restore(station, file, tmp_path / "new", "--manifest", copy)
    assert said.code == 6, said.err
    assert "is not taken" in said.err
    assert not (tmp_path / "new").exists()
