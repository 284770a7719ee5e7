"""docs/verify_approvals.py, which shares no code with tokenprov, judges who agreed to what, and by
which root's list the keys are the log's.

What it says of each dishonest log, the program finds too.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from tests.peers.test_verifier_script import KEY
from tests.people import added, approved
from tests.record_samples import small_manifest
from tests.stations import Station, tell
from tests.unit.test_record_approval import ASKED, ROLES, opened, person_entry, signed
from tests.unit.test_record_verify import write_log
from tokenprov.record.entry import Entry
from tokenprov.record.request import CAUSES
from tokenprov.record.verify import verify_manifest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "verify_approvals.py"
WHY = ("--reason", "a test", "--operator", "olga")
RULES = """
name = "keys"
description = "nothing is done alone"
[separation]
acts = { rotate-key = 1, waive = 1, people = 1 }
operator-signs = ["waive"]
[waivers]
"""


def run_script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The script as an auditor runs it, the other one beside it."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


def dishonest(folder: Path, *last: Entry, notes: tuple[bytes, ...] = ()) -> Path:
    """A log in which these people are, and these are the last entries."""
    manifest = small_manifest(folder / "m", tokens=1)
    for name in ROLES:
        manifest.append(person_entry(name))
    entries = [rfc8785.dumps(entry) for entry in (*manifest.entries(), *last)]
    write_log(folder / "d", entries)
    for name in ("blobs", "openings"):
        shutil.copytree(folder / "m" / name, folder / "d" / name)
    for note in notes:
        digest = hashlib.sha256(note).hexdigest()
        path = folder / "d" / "blobs" / "sha256" / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(note)
    return folder / "d"


def test_it_needs_nothing_more() -> None:
    """Under 300 lines, on the other script and what that stands on."""
    lines = SCRIPT.read_text("utf-8").splitlines()
    imports = {
        line.split()[1].split(".")[0] for line in lines if line.startswith(("import", "from"))
    }
    assert len(lines) < 300
    assert imports - set(sys.stdlib_module_names) == {"cryptography", "verify_manifest"}


def test_what_was_agreed_to_holds(tmp_path: Path) -> None:
    """An approved opening, of which the other script says that it is whole."""
    note = signed("rita", "pavel")
    folder = dishonest(tmp_path, opened(note, "pavel"), notes=(note,))
    assert verify_manifest(folder, KEY).holds
    done = run_script("--key", KEY, folder)
    assert (done.returncode, done.stdout) == (0, "it holds\n"), done.stderr


FALSE: dict[str, tuple[Callable[[], bytes], dict[str, Any], str]] = {
    "who approved did not sign": (lambda: signed("rita"), {}, "pavel did not sign it"),
    "nor did who requested": (lambda: signed("pavel"), {}, "rita did not sign it"),
    "of another token": (
        lambda: signed("rita", "pavel"),
        {"token": {"serial": "10000001"}},
        "it was about token 10000000",
    ),
    "too late": (
        lambda: signed("rita", "pavel"),
        {"time": "2026-02-03T12:00:01Z"},
        "it held from",
    ),
    "of another station": (
        lambda: signed("rita", "pavel", asked=replace(ASKED, station="station-b")),
        {"clearance": {"requester": "rita"}},
        "it was to open at station-b",
    ),
    "no request at all": (lambda: b"pavel agrees", {}, "not signed as a note is"),
    "by the operator": (lambda: signed("rita", "paula"), {"operator": "paula"}, "is the operator"),
    "without a request": (
        lambda: signed("rita", "pavel"),
        {"clearance": {}},
        "names no request that was approved",
    ),
}


@pytest.mark.parametrize("name", FALSE)
def test_what_was_not_agreed_to_is_found(tmp_path: Path, name: str) -> None:
    """Both name the approval of the last entry, and nothing else."""
    make, changes, why = FALSE[name]
    note = make()
    entry = opened(note, "paula" if "operator" in name else "pavel", **changes)
    if name == "of another station":
        asked = replace(ASKED, station="station-b").digest
        entry["clearance"] = {"request": asked, "requester": "rita"}
    folder = dishonest(tmp_path, entry, notes=(note,))
    found = [(one.rule, one.index) for one in verify_manifest(folder, KEY).findings]
    assert {*found} == {("approval", 2 + len(ROLES))}
    done = run_script("--key", KEY, folder)
    lines = done.stdout.splitlines()
    assert (done.returncode, why in done.stdout) == (6, True), done.stdout
    assert all(line.startswith(f"approval: entry {2 + len(ROLES)}: ") for line in lines), lines


def test_twice_and_by_who_is_none(tmp_path: Path) -> None:
    """A request that is used twice, and an approver whose role was taken away before."""
    note = signed("rita", "pavel")
    entry = opened(note, "pavel")
    done = run_script("--key", KEY, dishonest(tmp_path / "a", entry, entry, notes=(note,)))
    assert (done.returncode, "used before, for 10000000" in done.stdout) == (6, True), done.stdout
    gone = {**person_entry("pavel"), "roles": []}
    done = run_script("--key", KEY, dishonest(tmp_path / "b", gone, entry, notes=(note,)))
    assert (done.returncode, "pavel was no approver" in done.stdout) == (6, True), done.stdout
    twin = {**person_entry("pavel"), "person": "olaf"}
    done = run_script("--key", KEY, dishonest(tmp_path / "c", twin))
    assert (done.returncode, "person: entry" in done.stdout) == (6, True), done.stdout


def test_the_table_of_actions() -> None:
    """It has what docs/formats.md has, which another test compares with the program."""
    scope: dict[str, Any] = {}
    source = SCRIPT.read_text("utf-8")
    table = "ALLOWS = {" + source.partition("ALLOWS = {")[2].partition("\n}")[0] + "\n}"
    exec(compile(table, str(SCRIPT), "exec"), scope)
    mine = {action: sorted(kinds.split()) for action, kinds in scope["ALLOWS"].items()}
    assert mine == {str(action): sorted(map(str, kinds)) for action, kinds in CAUSES.items()}


def test_a_station_and_its_root(tmp_path: Path) -> None:
    """What the commands record, it takes; and of the keys only those that the root listed."""
    home = tmp_path / "home"
    assert tell("init", home, "--name", "bench", "--operator", "olga").code == 0
    station, manifest = Station(home=home), home / "manifest"
    first = (manifest / "manifest.vkey").read_text().strip()
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    olga = added(station, "olga", "operator", p256=True)
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    assert station.tell("policy", "use", rules, *WHY).code == 0
    file = approved(station, rita, pavel, "rotate-key", f"old={first}", name="key")
    said = station.tell("manifest", "rotate-key", *WHY, "--approval", file)
    assert said.code == 0, said.err
    until = station.entries("person-changed")[0]["time"][:10]
    file = approved(station, rita, pavel, "waive", "rule=separation", f"until={until}")
    said = station.tell(
        *("waiver", "grant", "separation", "--until", until, *WHY),
        *("--approval", file, "--operator-key", olga.private),
    )
    assert said.code == 0, said.err
    assert tell("manifest", "verify", manifest, "--key", first).code == 0
    done = run_script("--key", first, manifest)
    assert (done.returncode, done.stdout) == (0, "it holds\n"), done.stdout + done.stderr

    root = tell("root", "init", tmp_path / "r", "--name", "root.example").out.strip()
    sign = ("root", "sign", tmp_path / "r", manifest)
    assert run_script("--root", root, manifest).returncode == 6
    assert tell(*sign, "--key", first).code == 0
    assert run_script("--root", root, manifest).stdout == "it holds\n"
    assert run_script("--root", first, manifest).returncode == 6
    agreed = ("--until", until, *WHY)
    assert station.tell("waiver", "grant", "separation", *agreed).code == 9
    assert station.tell("manifest", "rotate-key", "--lost", *WHY).code == 0
    done = run_script("--root", root, manifest)
    assert (done.returncode, "an epoch is not on the list" in done.stdout) == (6, True)
    key = (manifest / "manifest.vkey").read_text().strip()
    assert tell(*sign, "--key", key).code == 0
    assert run_script("--root", root, manifest).stdout == "it holds\n"
