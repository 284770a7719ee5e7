"""Go's own packages for notes and logs (Debian's golang-golang-x-mod-dev) read our files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.record_samples import SIGNER, append, set_aside, small_manifest
from tests.unit.test_record_keys import (
    AFTER_LOSS,
    BAD_ROTATIONS,
    ENTRIES,
    HARDWARE,
    NEXT,
    WHO,
    dishonest,
    long_log,
    rotate,
)
from tokenprov.record.handout import Handout
from tokenprov.record.key_change import rotated_entry
from tokenprov.record.manifest import Addition, Manifest

SOURCE = Path(__file__).with_name("manifest.go")
KEY = str(SIGNER.verifier)

Judge = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """The Go program, built from Debian's packages alone: no module is fetched."""
    folder = tmp_path_factory.mktemp("go")
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",  # where Debian puts the sources of Go packages
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
    }
    program = folder / "judge"
    command = ["go", "build", "-o", program, SOURCE]
    subprocess.run(command, env=environment, check=True, cwd=folder)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        line = [program, *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("more", [0, 1, 252, 253, 600])
def test_folder(judge: Judge, tmp_path: Path, more: int) -> None:
    """note.Open takes the checkpoint, tlog every tile, entry and proof, at sizes around a tile."""
    manifest = small_manifest(tmp_path)
    manifest.append_many([Addition(entry=set_aside(n)) for n in range(more)])
    append(manifest, 7)
    done = judge("folder", KEY, tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{5 + more} entries\n"), done.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("checkpoint", "downloaded inconsistent tile"),
        ("tile/0/000.p/4", "downloaded inconsistent tile"),
        ("tile/entries/000.p/4", "entry 3 is not that of its tile"),
    ],
)
def test_altered_files(judge: Judge, tmp_path: Path, name: str, says: str) -> None:
    """Go refuses what was changed: it does judge, and does not only read."""
    small_manifest(tmp_path)
    path = tmp_path / name
    if name == "checkpoint":
        path.write_bytes(path.read_bytes().replace(b"\n4\n", b"\n3\n"))
    else:
        data = path.read_bytes()
        path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    done = judge("folder", KEY, tmp_path)
    assert done.returncode == 1
    assert says in done.stderr


def handout(manifest: Manifest, index: int) -> bytes:
    """The proof of an entry."""
    path = tuple(manifest.prover().inclusion(index))
    entry = manifest.entry(index)
    return Handout(entry=entry, index=index, path=path, note=manifest.note()).to_bytes()


@pytest.mark.parametrize("index", [0, 1, 3, 255, 256, 299])
def test_proof(judge: Judge, tmp_path: Path, index: int) -> None:
    """tlog.CheckRecord takes what is handed out, and not for another entry."""
    manifest = small_manifest(tmp_path / "m")
    manifest.append_many([Addition(entry=set_aside(n)) for n in range(296)])
    file = tmp_path / "one.tlog-proof"
    file.write_bytes(handout(manifest, index))
    done = judge("proof", KEY, file)
    assert (done.returncode, done.stdout) == (0, f"entry {index} of 300\n"), done.stderr
    spelled = f"index {index}\n".encode()
    file.write_bytes(file.read_bytes().replace(spelled, f"index {index ^ 2}\n".encode()))
    done = judge("proof", KEY, file)
    assert done.returncode == 1
    assert "invalid transparency proof" in done.stderr


def test_keys(judge: Judge, tmp_path: Path) -> None:
    """The judge follows rotations to P-256 and on, and into an epoch only by its own key."""
    log = long_log(tmp_path / "m")
    held = ",".join(str(key.verifier) for key in (SIGNER, AFTER_LOSS))
    done = judge("folder", held, tmp_path / "m")
    assert (done.returncode, done.stdout) == (0, f"{log.size} entries\n"), done.stderr
    done = judge("folder", KEY, tmp_path / "m")
    assert (done.returncode, "an epoch under" in done.stderr) == (1, True)

    manifest = small_manifest(tmp_path / "n")
    rotate(manifest, SIGNER, HARDWARE)
    done = judge("folder", KEY, tmp_path / "n")
    assert (done.returncode, done.stdout) == (0, "5 entries\n"), done.stderr
    file = tmp_path / "one.tlog-proof"
    changes = tuple(entry for _, entry in manifest.key_changes())
    for keys, code in ((changes, 0), ((), 1)):
        proof = Handout(
            entry=manifest.entry(1),
            index=1,
            path=tuple(manifest.prover().inclusion(1)),
            note=manifest.note(),
            keys=keys,
        )
        file.write_bytes(proof.to_bytes())
        done = judge("proof", KEY, file)
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize("name", BAD_ROTATIONS)
def test_rotations_that_prove_nothing(judge: Judge, tmp_path: Path, name: str) -> None:
    """What the two keys must have signed, and did not, is refused in Go too."""
    manifest = small_manifest(tmp_path / "m", tokens=0)
    manifest.append(ENTRIES[1])
    change = rotated_entry(manifest.checkpoint, SIGNER, NEXT, **WHO)
    dishonest(tmp_path / "honest", change, NEXT)
    honest = judge("folder", KEY, tmp_path / "honest")
    assert (honest.returncode, honest.stdout) == (0, "3 entries\n"), honest.stderr
    change["handover"] = BAD_ROTATIONS[name]()
    dishonest(tmp_path / "d", change, NEXT)
    assert judge("folder", KEY, tmp_path / "d").returncode != 0
