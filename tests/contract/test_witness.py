"""`tokenprov witness` cosigns what only grew, and an auditor asks for a quorum of such lines."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.peers.test_verifier_script import run_script
from tests.record_samples import SIGNER, append, small_manifest
from tests.stations import tell
from tokenprov.record.files import StationLock
from tokenprov.record.manifest import Manifest

KEY = str(SIGNER.verifier)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest's folder."""
    small_manifest(tmp_path / "m").close()
    return tmp_path / "m"


def make(state: Path, name: str) -> str:
    """A witness; its verifier key."""
    said = tell("witness", "init", state, "--name", name)
    assert said.code == 0, said.err
    return said.out.strip()


def test_quorum(manifest: Path, tmp_path: Path) -> None:
    """With two of two lines a quorum of two holds; of three witnesses it takes those that did."""
    keys = [make(tmp_path / name, f"{name}.example") for name in ("w1", "w2", "w3")]
    asked = [word for key in keys for word in ("--witness", key)]
    verify = ("manifest", "verify", manifest, "--key", KEY, *asked)
    for count, name in enumerate(("w1", "w2"), start=1):
        assert tell("witness", "cosign", tmp_path / name, manifest, "--key", KEY).code == 0
        assert tell(*verify, "--quorum", str(count)).code == 0
        said = tell(*verify, "--quorum", str(count + 1), "--json")
        assert [finding["rule"] for finding in said.document["findings"]] == ["quorum"]
    assert tell(*verify).code == 6
    assert tell("witness", "cosign", tmp_path / "w1", manifest).code == 0  # again: one line each
    assert (manifest / "checkpoint").read_text().count("w1.example") == 1
    assert run_script("--key", KEY, manifest).returncode == 0


def test_the_line_by_the_standard_alone(manifest: Path, tmp_path: Path) -> None:
    """The signature is over `cosignature/v1`, the time and the text (C2SP tlog-cosignature)."""
    key = base64.b64decode(make(tmp_path / "w", "w.example").split("+", 2)[2])
    assert tell("witness", "cosign", tmp_path / "w", manifest, "--key", KEY).code == 0
    text, _, lines = (manifest / "checkpoint").read_text().rpartition("\n\n")
    raw = base64.b64decode(lines.splitlines()[-1].split(" ")[2])
    time = int.from_bytes(raw[4:12])
    signed = f"cosignature/v1\ntime {time}\n{text}\n".encode()
    assert key[0] == 4
    ed25519.Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[12:], signed)


def test_a_fork_and_a_rollback_are_refused(manifest: Path, tmp_path: Path) -> None:
    """What is not the old log grown gets no line, and the witness goes on with the right one."""
    key = make(tmp_path / "w", "w.example")
    shutil.copytree(manifest, tmp_path / "before")
    append(Manifest.open(manifest, SIGNER), 7)
    cosign = ("witness", "cosign", tmp_path / "w")
    assert tell(*cosign, manifest).code == 2  # never seen, and no key
    assert tell(*cosign, manifest, "--key", KEY).code == 0
    said = tell(*cosign, tmp_path / "before")
    assert (said.code, "were signed before" in said.err) == (6, True)
    fork = Manifest.open(tmp_path / "before", SIGNER)
    append(fork, 8)
    append(fork, 9)
    said = tell(*cosign, tmp_path / "before")
    assert (said.code, "two histories" in said.err) == (6, True)
    assert "w.example" not in (tmp_path / "before/checkpoint").read_text()
    append(Manifest.open(manifest, SIGNER), 9)
    assert tell(*cosign, manifest).code == 0
    assert tell("manifest", "verify", manifest, "--witness", key).code == 0


def test_a_changed_line(manifest: Path, tmp_path: Path) -> None:
    """A cosignature with another time does not count: it does not verify."""
    key = make(tmp_path / "w", "w.example")
    assert tell("witness", "cosign", tmp_path / "w", manifest, "--key", KEY).code == 0
    path = manifest / "checkpoint"
    *lines, last = path.read_text().splitlines()
    raw = bytearray(base64.b64decode(last.split(" ")[2]))
    raw[11] ^= 1
    encoded = base64.b64encode(raw).decode()
    path.write_text("\n".join([*lines, last.rpartition(" ")[0] + f" {encoded}"]) + "\n")
    said = tell("manifest", "verify", manifest, "--key", KEY, "--witness", key, "--json")
    assert [finding["rule"] for finding in said.document["findings"]] == ["signature"]


def test_a_station_that_writes_is_not_disturbed(tmp_path: Path) -> None:
    """In a station's own folder it waits its turn: an older checkpoint is never put back."""
    home = tmp_path / "home"
    assert tell("init", home, "--name", "bench").code == 0
    key = (home / "manifest" / "manifest.vkey").read_text().strip()
    make(tmp_path / "w", "w.example")
    cosign = ("witness", "cosign", tmp_path / "w", home / "manifest", "--key", key)
    before = (home / "manifest" / "checkpoint").read_bytes()
    with StationLock(home):
        assert tell(*cosign).code == 3
    assert (home / "manifest" / "checkpoint").read_bytes() == before
    assert tell(*cosign).code == 0
    assert (home / "manifest" / "checkpoint").read_bytes() != before


def test_lines_are_kept(manifest: Path, tmp_path: Path) -> None:
    """What was cosigned stays when the log grows: it is judged, and proofs are by it."""
    witness = make(tmp_path / "w", "w.example")
    cosign = ("witness", "cosign", tmp_path / "w", manifest)
    assert tell(*cosign, "--key", KEY).code == 0
    before = (manifest / "checkpoint").read_bytes()
    log = Manifest.open(manifest, SIGNER)
    append(log, 7)
    append(log, 8)  # this one's checkpoint had no such line: only one is kept
    assert [path.name for path in (manifest / "cosigned").iterdir()] == ["4"]
    assert (manifest / "cosigned/4").read_bytes() == before
    verify = ("manifest", "verify", manifest, "--key", KEY)
    assert tell(*verify).code == 0
    assert run_script("--key", KEY, manifest).returncode == 0
    said = tell(*verify, "--witness", witness)
    assert (said.code, "that of 4 entries was by enough" in said.out) == (6, True), said.out

    home = tmp_path / "home"
    home.mkdir()
    (home / "manifest").symlink_to(manifest)
    for serial, covered in (("10000001", True), ("10000008", False)):
        out = tmp_path / serial
        assert tell("--home", home, "manifest", "prove", serial, "--out", out).code == 0
        check = ("manifest", "verify", out, "--key", KEY)
        assert tell(*check).code == 0
        assert tell(*check, "--witness", witness).code == (0 if covered else 6)

    kept = manifest / "cosigned/4"
    for name, data in (
        ("4", before.replace(b"w.example", b"v.example")),  # a stranger's line: no matter
        ("4", before.replace(b"\n4\n", b"\n3\n")),
        ("5", before),
        ("9", before),
        ("4", (manifest / "checkpoint").read_bytes()),
        ("04", before),
    ):
        kept.unlink(missing_ok=True)
        kept = manifest / "cosigned" / name
        kept.write_bytes(data)
        rules = [one["rule"] for one in tell(*verify, "--json").document["findings"]]
        wrong = data != before.replace(b"w.example", b"v.example")
        assert bool(rules) == wrong == (run_script("--key", KEY, manifest).returncode == 6), name
        assert set(rules) <= {"cosigned", "signature", "stray"}
