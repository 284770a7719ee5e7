"""docs/verify_manifest.py, which shares no code with tokenprov, judges what tokenprov writes.

Every altered folder must be refused by both, so that neither overlooks what the other sees.
"""

from __future__ import annotations

import hashlib
import os
import random
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from tests.record_samples import SIGNER, append, issued, opening, set_aside, small_manifest, station
from tests.unit.test_record_verify import write_entries, write_log
from tokenprov.record.manifest import Addition, Manifest, verify_manifest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "verify_manifest.py"
KEY = str(SIGNER.verifier)
PARTS = runpy.run_path(str(SCRIPT))  # the script's own names, without running it


def faults(folder: Path, keys: Sequence[str] = (KEY,)) -> list[str]:
    """What the script finds in a folder, by these keys."""
    record = PARTS["Record"](folder)
    record.attempt(str(folder), record.folder, list(keys))
    found: list[str] = record.faults
    return found


def run_script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The script as an auditor runs it, with nothing of tokenprov on its path."""
    command = [sys.executable, "-P", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


def test_it_is_short_and_stands_alone() -> None:
    """Under 300 lines, and it imports nothing but the standard library and cryptography."""
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 300
    imports = {
        line.split()[1].split(".")[0] for line in lines if line.startswith(("import", "from"))
    }
    assert imports - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_command(tmp_path: Path) -> None:
    """Exit code 0 where the folder holds, 6 with a line for the fault where it does not."""
    small_manifest(tmp_path)
    for key in ([], ["--key", KEY]):
        done = run_script(*key, tmp_path)
        assert (done.returncode, done.stdout) == (0, "it holds\n"), done.stderr
    (tmp_path / "notes.txt").touch()
    done = run_script("--key", KEY, tmp_path)
    assert (done.returncode, done.stdout) == (6, "stray: notes.txt: no entry refers to it\n")
    assert run_script(tmp_path, "--word").returncode == 2


def test_several_levels_of_tiles(tmp_path: Path) -> None:
    """Full tiles, a level above, and every size on the way to the next hold."""
    manifest = small_manifest(tmp_path, tokens=0)
    manifest.append_many([Addition(entry=set_aside(n)) for n in range(700)])
    assert faults(tmp_path) == []
    for number in range(701, 705):
        manifest.append(set_aside(number))
        assert faults(tmp_path) == []


def test_one_changed_byte(tmp_path: Path) -> None:
    """One bit turned anywhere in any file is found, as the program finds it."""
    small_manifest(tmp_path, tokens=2)
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        places = range(len(whole))
        for at in sorted(random.Random(path.name).sample(places, min(60, len(whole)))):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            assert faults(tmp_path), (path.name, at)
        path.write_bytes(whole)
    assert faults(tmp_path) == []


def remove(name: str) -> Callable[[Path], None]:
    """Delete a file of the folder."""
    return lambda folder: (folder / name).unlink()


def add(name: str, data: bytes = b"") -> Callable[[Path], None]:
    """Put a file there that nothing refers to."""

    def alter(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return alter


def link(folder: Path) -> None:
    """Put a link in a tile's place."""
    os.rename(folder / "tile/0/000.p/4", folder.with_name("elsewhere"))
    os.symlink(folder.with_name("elsewhere"), folder / "tile/0/000.p/4")


def exchange_history(folder: Path) -> None:
    """Other entries and tiles that agree with each other."""
    other = folder.with_name("other")
    small_manifest(other, tokens=2)
    append(Manifest.open(other, SIGNER), 9)
    for name in ("tile", "blobs", "openings"):
        shutil.rmtree(folder / name)
        shutil.copytree(other / name, folder / name)


ALTERATIONS: dict[str, Callable[[Path], None]] = {
    "no checkpoint": remove("checkpoint"),
    "no key": remove("manifest.vkey"),
    "no tile": remove("tile/0/000.p/4"),
    "no bundle": remove("tile/entries/000.p/4"),
    "no blob": remove("blobs/sha256/{0:.2}/{0}".format(hashlib.sha256(b"envelope 1").hexdigest())),
    "a note": add("notes.txt"),
    "a blob": add("blobs/sha256/00/" + "00" * 32),
    "an opening": add(f"openings/{opening(9).commitment}.json", opening(9).to_bytes()),
    "another's opening": add(f"openings/{opening(1).commitment}.json", opening(9).to_bytes()),
    "a later tile": add("tile/0/001"),
    "a wider tile": add("tile/0/000.p/5"),
    "a full tile": add("tile/0/000"),
    "a wider bundle": add("tile/entries/000.p/5"),
    "a tile above": add("tile/1/000.p/1"),
    "a name in another spelling": add("tile/0/000.p/04"),
    "pending": add("pending", rfc8785.dumps({"files": [], "size": 4})),
    "a link": link,
    "another history": exchange_history,
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_folders(tmp_path: Path, name: str) -> None:
    """What was taken away, added or exchanged is found by the script and by the program."""
    small_manifest(tmp_path / "m")
    assert faults(tmp_path / "m") == []
    ALTERATIONS[name](tmp_path / "m")
    assert not verify_manifest(tmp_path / "m").holds
    assert faults(tmp_path / "m")


BACK = dict(issued(1), token=issued(0)["token"])  # token 0, for another holder


@pytest.mark.parametrize(
    ("entries", "rules"),
    [
        ([station(), issued(0), issued(1), set_aside(0)], []),
        ([issued(0)], ["station"]),
        ([station(), station()], ["station"]),
        ([station(), issued(0, station="station-b")], ["station"]),
        ([station(), issued(0), issued(0)], ["order"]),
        ([station(), issued(0), BACK], ["binding"]),
        ([station(), issued(0), set_aside(0), BACK], []),
        ([station(), issued(0, kind="promoted")], ["kind"]),
        ([station(), issued(0, v=2)], ["kind"]),
    ],
)
def test_dishonest_stations(
    tmp_path: Path, entries: list[dict[str, Any]], rules: list[str]
) -> None:
    """A log that is signed and whole, and whose entries cannot follow each other, is refused."""
    write_entries(tmp_path / "m", entries)
    found = [fault.partition(":")[0] for fault in faults(tmp_path / "m")]
    assert [rule for rule in found if rule != "stray"] == rules
    assert bool(rules) is not verify_manifest(tmp_path / "m").holds


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}\n",
        b'{"a":1.0}',
        b'{"a":NaN}',
        b'{"a":9007199254740992}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        rfc8785.dumps(set_aside(0)).replace(b'{"approvers"', b'{ "approvers"'),
        b"\xff",
    ],
)
def test_other_spellings(tmp_path: Path, data: bytes) -> None:
    """An entry that is not RFC 8785 is refused."""
    write_log(tmp_path / "m", [rfc8785.dumps(station()), data])
    (fault,) = faults(tmp_path / "m")
    assert "entry 1" in fault


def test_another_key(tmp_path: Path) -> None:
    """Under another key of the same name the folder does not hold, and no key is no key."""
    small_manifest(tmp_path)
    last = "B" if KEY[-2] == "A" else "A"
    assert faults(tmp_path, [KEY[:-2] + last + "="])
    assert faults(tmp_path, ["no key"])
