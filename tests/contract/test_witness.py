"""`tokenprov witness` cosigns what only grew, and an auditor asks for a quorum of such lines."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.peers.test_verifier_script import run_script
from tests.record_samples import SIGNER, append, small_manifest
from tests.stations import Said, Station, ended, tell
from tokenprov.record.cosigned import add_cosignatures
from tokenprov.record.lock import StationLock, turn
from tokenprov.record.manifest import Manifest
from tokenprov.record.signer import Cosigner, KeyInMemory, SigningKey
from tokenprov.record.submission import Submission
from tokenprov.record.witness import Witness

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


def test_a_station_that_works_is_not_disturbed(tmp_path: Path) -> None:
    """In a station's own folder it is cosigned beside a batch, and waits only while one appends."""
    home = tmp_path / "home"
    assert tell("init", home, "--name", "bench").code == 0
    key = (home / "manifest" / "manifest.vkey").read_text().strip()
    make(tmp_path / "w", "w.example")
    cosign = ("witness", "cosign", tmp_path / "w", home / "manifest", "--key", key)
    before = (home / "manifest" / "checkpoint").read_bytes()
    with StationLock(home):
        with turn(home / "manifest.lock"):
            waiting = Station(home=home).start(*cosign)
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(timeout=2)
            assert (home / "manifest" / "checkpoint").read_bytes() == before
        assert ended(waiting).code == 0
    assert b"w.example" in (home / "manifest" / "checkpoint").read_bytes()


class SlowHand(Cosigner):
    """Somebody who takes their time: the log grows by one entry before they have signed."""

    def __init__(self, log: Path, name: str, key: SigningKey) -> None:
        super().__init__(name, key, lambda: datetime(2026, 3, 1, tzinfo=UTC))
        self._log = log

    def sign(self, message: bytes) -> bytes:
        with closing(Manifest.open(self._log, SIGNER)) as log:
            append(log, 7)
        return super().sign(message)


def test_the_log_grows_while_a_witness_signs(manifest: Path, tmp_path: Path) -> None:
    """The line is kept under the checkpoint that it is of, and the new head stays."""
    (tmp_path / "w").mkdir()
    slow = SlowHand(manifest, "w.example", KeyInMemory.draw())
    made = Witness(tmp_path / "w", slow).cosign(manifest, SIGNER.verifier)
    add_cosignatures(manifest, made.note, made.log_key, [made.witness_key])
    assert b"w.example" in (manifest / "cosigned/4").read_bytes()
    assert b"w.example" not in (manifest / "checkpoint").read_bytes()
    verify = ("manifest", "verify", manifest, "--key", KEY)
    assert tell(*verify).code == 0
    said = tell(*verify, "--witness", str(made.witness_key))
    assert (said.code, "that of 4 entries was by enough" in said.out) == (6, True), said.out
    assert run_script("--key", KEY, manifest).returncode == 0


@pytest.fixture
def away(manifest: Path, tmp_path: Path) -> Callable[..., Said]:
    """Commands of a station with that manifest, whose witnesses are elsewhere."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "manifest").symlink_to(manifest)
    return lambda *words: tell("--home", tmp_path / "home", "manifest", *words)


def test_a_witness_elsewhere(away: Callable[..., Said], manifest: Path, tmp_path: Path) -> None:
    """Shown what they need in a file, they sign; the line finds its place though the log grew."""
    keys = [make(tmp_path / name, f"{name}.example") for name in ("w1", "w2")]
    shown, answer = tmp_path / "shown", tmp_path / "answer"

    def show(old: int) -> None:
        shown.write_text(away("submit", "--old", str(old)).out)

    def ask(name: str, *options: str) -> Said:
        said = tell("witness", "cosign", tmp_path / name, shown, *options)
        answer.write_text(said.out)
        return said

    show(0)
    assert shown.read_text().startswith("old 0\n\n")
    log = Manifest.open(manifest, SIGNER)
    append(log, 7)
    for name, key in zip(("w1", "w2"), keys, strict=True):
        assert ask(name).code == 2  # never seen, and no key
        assert ask(name, "--key", KEY).code == 0
        said = away("add-cosignatures", answer, "--witness", key)
        assert (said.code, said.out) == (0, f"{SIGNER.verifier.name}: cosigned with 4 entries\n")
    kept = (manifest / "cosigned/4").read_text()
    assert all(f"— {name}.example" in kept for name in ("w1", "w2"))
    verify = ("manifest", "verify", manifest, "--key", KEY)
    assert tell(*verify).code == 0
    assert "that of 4 entries was by enough" in tell(*verify, "--witness", keys[0]).out

    show(3)
    said = ask("w1")
    assert (said.code, "submit --old 4" in said.err) == (6, True), said.err
    show(4)
    assert len(shown.read_text().partition("\n\n")[0].splitlines()) > 1
    assert ask("w1").code == 0
    lines = tmp_path / "lines"  # as a witness over HTTP gives them
    lines.write_text(answer.read_text().splitlines(keepends=True)[-1])
    assert away("add-cosignatures", lines, "--to", shown, "--witness", keys[0]).code == 0
    assert tell(*verify, "--witness", keys[0]).code == 0
    assert away("add-cosignatures", answer, "--witness", keys[1]).code == 6  # not their line
    assert run_script("--key", KEY, manifest).returncode == 0
    assert away("submit", "--old", "9").code == 6
    assert away("submit", "--old", "-1").code == 2


def test_a_fork_that_is_handed_in(
    away: Callable[..., Said], manifest: Path, tmp_path: Path
) -> None:
    """A witness gives no line for another history, and a station takes none of one."""
    make(tmp_path / "w", "w.example")
    shutil.copytree(manifest, tmp_path / "before")
    shown = tmp_path / "shown"
    cosign = ("witness", "cosign", tmp_path / "w", shown)
    append(Manifest.open(manifest, SIGNER), 7)
    shown.write_text(away("submit").out)
    assert tell(*cosign, "--key", KEY).code == 0
    fork = Manifest.open(tmp_path / "before", SIGNER)
    append(fork, 8)
    append(fork, 9)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest").symlink_to(tmp_path / "before")
    shown.write_text(tell("--home", tmp_path / "other", "manifest", "submit", "--old", "5").out)
    said = tell(*cosign)
    assert (said.code, said.out, "two histories" in said.err) == (6, "", True), said.err
    note = Submission.parse(shown.read_bytes()).note
    shown.write_bytes(Submission(old=5, proof=(), note=note).to_bytes())
    assert tell(*cosign).code == 6

    theirs = make(tmp_path / "v", "fork.example")
    assert tell("witness", "cosign", tmp_path / "v", tmp_path / "before", "--key", KEY).code == 0
    append(Manifest.open(manifest, SIGNER), 9)
    said = away("add-cosignatures", tmp_path / "before/checkpoint", "--witness", theirs)
    assert (said.code, "not the first of these" in said.err) == (6, True), said.err
    assert not (manifest / "cosigned").exists()
    assert "fork.example" not in (manifest / "checkpoint").read_text()


def test_a_key_that_changed_is_followed_elsewhere(tmp_path: Path) -> None:
    """By the entries that prove it, shown beside; by the new key's word alone nothing is signed."""
    home, shown, changes = tmp_path / "home", tmp_path / "shown", tmp_path / "changes"
    assert tell("init", home, "--name", "bench").code == 0
    manifest = ("--home", home, "manifest")
    cosign = ("witness", "cosign", tmp_path / "w", shown)
    witness = make(tmp_path / "w", "w.example")

    def show(old: int) -> None:
        shown.write_text(tell(*manifest, "submit", "--old", str(old)).out)
        changes.write_text(tell(*manifest, "keys", "--changes").out)

    def key() -> str:
        return (home / "manifest" / "manifest.vkey").read_text().strip()

    show(0)
    assert changes.read_text() == ""
    assert tell(*cosign, "--key", key()).code == 0
    for _ in range(2):
        assert tell(*manifest, "rotate-key", "--reason", "yearly").code == 0
    show(1)
    refused = tell(*cosign)
    assert (refused.code, refused.out) == (6, ""), refused
    assert "manifest keys --changes" in refused.err
    assert tell(*cosign, "--key", key()).code == 2
    beside = tell("witness", "cosign", tmp_path / "w", home / "manifest", "--changes", changes)
    assert (beside.code, "--changes" in beside.err) == (2, True), beside.err
    whole = changes.read_text()
    assert len(whole.splitlines()) == 2
    changes.write_text(whole.splitlines(keepends=True)[1])  # not from the key that it knows
    assert tell(*cosign, "--changes", changes).code == 6
    changes.write_text(whole)
    said = tell(*cosign, "--changes", changes)
    assert said.code == 0, said.err
    (tmp_path / "answer").write_text(said.out)
    added = tell(*manifest, "add-cosignatures", tmp_path / "answer", "--witness", witness)
    assert added.code == 0, added.err
    assert tell(*manifest, "rotate-key", "--lost", "--reason", "stolen").code == 0
    show(3)
    assert tell(*cosign, "--changes", changes).code == 6  # nobody vouches for an epoch's
    assert tell(*cosign, "--changes", changes, "--key", key()).code == 0
    show(4)
    assert tell(*cosign).code == 0  # it knows that one now


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
        ("4", before.replace(b"w.example", b"fork.example")),  # a stranger's line: no matter
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
        wrong = data != before.replace(b"w.example", b"fork.example")
        assert bool(rules) == wrong == (run_script("--key", KEY, manifest).returncode == 6), name
        assert set(rules) <= {"cosigned", "signature", "stray"}
