"""`tokenprov manifest` for auditors and for people, in a folder that a station left behind."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.peers.test_verifier_script import run_script
from tests.record_samples import SIGNER, about, append, issued, opening, set_aside, small_manifest
from tests.stations import Said, tell
from tokenprov.home import Home
from tokenprov.record.export import PAYLOAD, pre_authenticated
from tokenprov.record.manifest import Addition, Manifest

KEY = str(SIGNER.verifier)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a manifest of four tokens, and nothing else."""
    small_manifest(tmp_path / "home" / "manifest", tokens=4).close()
    return tmp_path / "home"


def log_of(home: Path) -> Manifest:
    """The same, to append to."""
    return Manifest.open(home / "manifest", SIGNER)


def ask(home: Path, *arguments: str | Path) -> Said:
    """A command of `manifest` in that home."""
    return tell("--home", home, "manifest", *arguments)


def prove(home: Path, *more: str | Path) -> Path:
    """The proof of token 2."""
    out = home.with_name("proof")
    said = ask(home, "prove", "10000002", "--out", out, *more)
    assert said.code == 0, said.err
    return out


def test_a_proof_verifies_alone(home: Path) -> None:
    """The file is small, holds with the key alone, and says whose token it is only if asked."""
    proof = prove(home)
    assert proof.stat().st_size < 3000
    shutil.rmtree(home)
    said = tell("--home", home, "manifest", "verify", proof, "--key", KEY, "--json")
    assert said.code == 0, said.err
    assert said.document["entry"] == issued(2)
    assert (said.document["index"], said.document["size"]) == (3, 5)
    assert "holder" not in said.document
    assert "Zoë" not in proof.read_text()
    assert run_script("--key", KEY, proof).returncode == 0


def test_a_proof_with_the_name(home: Path) -> None:
    """Asked for, the opening is in it, for its owner only; the script sees the name as well."""
    proof = prove(home, "--name")
    assert proof.stat().st_mode & 0o777 == 0o600
    said = ask(home, "verify", proof, "--key", KEY, "--json")
    assert said.document["holder"] == opening(2).holder
    assert "Zoë 2" in ask(home, "verify", proof, "--key", KEY).out
    assert "Zoë 2" in run_script("--key", KEY, proof).stdout


def another_extra(change: Callable[[dict[str, object]], None]) -> Callable[[bytes], bytes]:
    """Change the document in the extra line."""

    def alter(data: bytes) -> bytes:
        lines = data.split(b"\n")
        document = json.loads(base64.b64decode(lines[1].removeprefix(b"extra ")))
        change(document)
        text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        lines[1] = b"extra " + base64.b64encode(text.encode())
        return b"\n".join(lines)

    return alter


ALTERED: dict[str, Callable[[bytes], bytes]] = {
    "another holder's entry": another_extra(lambda d: d.update(entry=issued(1))),
    "another's opening": another_extra(
        lambda d: d.update(opening=json.loads(opening(1).to_bytes()))
    ),
    "one more member": another_extra(lambda d: d.update(more=1)),
    "another index": lambda data: data.replace(b"index 3", b"index 2"),
    "an index in another spelling": lambda data: data.replace(b"index 3", b"index 03"),
    "beyond the tree": lambda data: data.replace(b"index 3", b"index 5"),
    "a step less": lambda data: b"\n".join(
        line for n, line in enumerate(data.split(b"\n")) if n != 3
    ),
    "a step more": lambda data: data.replace(b"\n\n", b"\n" + b"A" * 43 + b"=\n\n", 1),
    "another size": lambda data: data.replace(b"\n5\n", b"\n6\n"),
    "another header": lambda data: data.replace(b"@v1", b"@v2"),
    "no checkpoint": lambda data: data.partition(b"\n\n")[0],
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered_proofs(home: Path, name: str) -> None:
    """Each is refused, by the program and by the script."""
    proof = prove(home)
    data = ALTERED[name](proof.read_bytes())
    assert data != proof.read_bytes()
    proof.write_bytes(data)
    assert ask(home, "verify", proof, "--key", KEY).code == 6
    assert run_script("--key", KEY, proof).returncode == 6


def test_what_is_proved(home: Path) -> None:
    """The last issue by default, with a word on what came later; another entry if named."""
    log_of(home).append(set_aside(2))
    out = home.with_name("proof")
    said = ask(home, "prove", "10000002", "--out", out)
    assert "later entries about this token: 5" in said.err
    assert ask(home, "prove", "10000002", "--entry", "5", "--out", out).code == 0
    assert "set-aside" in ask(home, "verify", out, "--key", KEY).out
    assert ask(home, "prove", "10000002", "--entry", "1", "--out", out).code == 2
    assert ask(home, "prove", "99", "--out", out).code == 2
    assert ask(home, "prove", "10000002", "--entry", "5", "--name", "--out", out).code == 2


def test_pin(home: Path) -> None:
    """The first time the pin is made; later it moves on while the log only grows."""
    pin = home.with_name("pin")
    assert "first checkpoint" in ask(home, "verify", "--pin", pin).err
    first = pin.read_bytes()
    assert first == (home / "manifest/checkpoint").read_bytes()
    append(log_of(home), 7)
    said = ask(home, "verify", "--pin", pin)
    assert (said.code, "first" in said.err) == (0, False)
    assert pin.read_bytes() != first


def test_pin_names_a_rollback_and_a_fork(home: Path) -> None:
    """Entries gone are a rollback, other entries a fork; the pin stays as it was."""
    shutil.copytree(home / "manifest", home.with_name("before"))
    pin = home.with_name("pin")
    append(log_of(home), 7)
    assert ask(home, "verify", "--pin", pin).code == 0
    seen = pin.read_bytes()
    before = home.with_name("before")
    said = ask(home, "verify", before, "--pin", pin, "--json")
    assert [f["rule"] for f in said.document["findings"]] == ["rollback"]
    other = Manifest.open(before, SIGNER)
    for number in (8, 9):
        append(other, number)
    said = ask(home, "verify", before, "--pin", pin, "--json")
    assert (said.code, [f["rule"] for f in said.document["findings"]]) == (6, ["fork"])
    assert pin.read_bytes() == seen
    pin.write_bytes(seen.replace(b"\n6\n", b"\n7\n"))
    said = ask(home, "verify", "--pin", pin, "--json")
    assert [f["rule"] for f in said.document["findings"]] == ["pin"]


def test_pin_over_tiles(home: Path) -> None:
    """The same over full tiles, where a proof of consistency has many steps."""
    pin = home.with_name("pin")
    log = log_of(home)
    for more in (1, 250, 3, 500):
        log.append_many([Addition(entry=set_aside(n)) for n in range(100, 100 + more)])
        assert ask(home, "verify", "--pin", pin).code == 0


def test_several_folders(home: Path) -> None:
    """A fork of one log and a serial claimed by two stations are found between the folders."""
    mine, fork = home / "manifest", home.with_name("fork")
    shutil.copytree(mine, fork)
    assert ask(home, "verify", mine, fork).code == 0
    append(log_of(home), 7)
    assert ask(home, "verify", fork, mine).code == 0
    append(Manifest.open(fork, SIGNER), 8)
    said = ask(home, "verify", mine, fork, "--json")
    assert said.code == 6
    assert [[f["rule"] for f in one["findings"]] for one in said.document] == [[], ["fork"]]


def test_a_serial_claimed_twice(home: Path, tmp_path: Path) -> None:
    """Held at two stations: the finding names serial, entry and the other station's folder."""
    station = tmp_path / "b"
    said = tell("init", station, "--name", "station-b", "--operator", "olga")
    assert said.code == 0, said.err
    folders = home / "manifest", station / "manifest"
    assert ask(home, "verify", *folders).code == 0
    other = Home.open(station).manifest
    entry = issued(2, station="station-b", steps=[], secrets=[], time=other.latest())
    other.append(entry, (), opening(2))
    said = ask(home, "verify", *folders)
    assert said.code == 6
    assert "claimed-twice: entry 1, token 10000002 is also a holder's by entry 3" in said.out
    log_of(home).append(about("revoked", 2))
    assert ask(home, "verify", *folders).code == 0


def test_history_and_search(home: Path) -> None:
    """A serial, a holder by id or mail, and any text lead to the same entries."""
    log_of(home).append(about("revoked", 2))
    for subject in ("10000002", "p2", "p2@example.org", "Zoë 2"):
        said = ask(home, "history", subject, "--json")
        assert [entry["index"] for entry in said.document] == [3, 5], subject
    assert "revoked" in ask(home, "history", "10000002").out
    assert ask(home, "history", "nobody").code == 2
    assert [e["index"] for e in ask(home, "search", "ZOË 2", "--json").document] == [3, 5]
    assert [e["index"] for e in ask(home, "search", "told at", "--json").document] == [5]


def test_export_to_a_table(home: Path) -> None:
    """A row an entry; names only if asked for; nothing that a spreadsheet would run."""
    log_of(home).append(about("revoked", 2, reason="=cmd|' /C calc'!A0"))
    rows = list(csv.DictReader(io.StringIO(ask(home, "export", "--format", "csv").out)))
    assert [row["serial"] for row in rows[1:5]] == [str(10_000_000 + n) for n in range(4)]
    assert {row["name"] for row in rows} == {""}
    assert rows[5]["reason"].startswith("'=")
    said = ask(home, "export", "--format", "csv", "--names")
    named = list(csv.DictReader(io.StringIO(said.out)))
    assert named[3]["name"] == "Zoë 2"


def test_export_to_json(home: Path) -> None:
    """Each entry is there as it was recorded."""
    document = ask(home, "export", "--format", "json").document
    assert document[3] == {"index": 3, "entry": issued(2)}


def test_export_to_dsse(home: Path) -> None:
    """Each line is an envelope that the manifest's key signed, around an in-toto statement."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    (home / "keys").mkdir()
    path = home / f"keys/{SIGNER.verifier.key_id.hex()}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    said = ask(home, "export", "--format", "dsse")
    assert said.code == 0, said.err
    envelopes = [json.loads(line) for line in said.out.splitlines()]
    assert len(envelopes) == 5
    envelope = envelopes[3]
    payload = base64.b64decode(envelope["payload"])
    # the example of DSSE's protocol.md, "Test Vectors"
    assert pre_authenticated("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    key.public_key().verify(signature, pre_authenticated(PAYLOAD, payload))
    statement = json.loads(payload)
    assert statement["subject"][0]["name"] == "token:10000002"
    assert statement["predicate"]["entry"] == issued(2)
