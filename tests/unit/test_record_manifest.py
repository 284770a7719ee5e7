"""Appending to a manifest: what is read back, what is refused, what a cut-off leaves."""

import base64
import errno
import hashlib
import os
import re
import shutil
import subprocess
import textwrap
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.record_samples import (
    ORIGIN,
    SIGNER,
    append,
    blobs,
    issued,
    opening,
    set_aside,
    small_manifest,
    station,
)
from tokenprov.errors import DurabilityError, ManifestError
from tokenprov.model import Holder
from tokenprov.record import files
from tokenprov.record.entry import decode_entry, encode_entry, station_entry
from tokenprov.record.manifest import (
    Addition,
    Manifest,
    Opening,
    commit_holder,
    verify_manifest,
)
from tokenprov.record.proof import verify_consistency, verify_inclusion
from tokenprov.record.signer import KeyInMemory, Signer
from tokenprov.record.tlog import leaf_hash


def names_in(folder: Path) -> set[str]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_round_trip(tmp_path: Path) -> None:
    """Entries, blobs and openings come back, from the writer and from a later reader."""
    writer = small_manifest(tmp_path / "m")
    for manifest in (writer, Manifest.open(tmp_path / "m"), Manifest.open(tmp_path / "m", SIGNER)):
        assert manifest.size == 4
        assert manifest.origin == ORIGIN
        assert list(manifest.entries()) == [station(), issued(0), issued(1), issued(2)]
        assert list(manifest.entries(3)) == [issued(2)]
        assert manifest.entry(1) == issued(0)
        assert manifest.opening(opening(1).commitment) == opening(1)
        assert manifest.opening("00" * 32) is None
        assert manifest.blob(hashlib.sha256(blobs(2)[0]).hexdigest()) == blobs(2)[0]
        for outside in (-1, 4):
            with pytest.raises(IndexError):
                manifest.entry(outside)
    assert verify_manifest(tmp_path / "m").findings == ()


def test_files(tmp_path: Path) -> None:
    """The folder holds what the format says and nothing else; openings are private."""
    small_manifest(tmp_path, tokens=1)
    digests = [hashlib.sha256(blob).hexdigest() for blob in blobs(0)]
    assert names_in(tmp_path) == {
        "checkpoint",
        "manifest.vkey",
        "tile/0/000.p/1",
        "tile/0/000.p/2",
        "tile/entries/000.p/1",
        "tile/entries/000.p/2",
        f"openings/{opening(0).commitment}.json",
        *(f"blobs/sha256/{digest[:2]}/{digest}" for digest in digests),
    }
    assert os.stat(tmp_path / f"openings/{opening(0).commitment}.json").st_mode & 0o777 == 0o600
    assert (tmp_path / "manifest.vkey").read_text() == f"{SIGNER.verifier}\n"


def test_over_a_tile(tmp_path: Path) -> None:
    """A tile that becomes full loses its partial ones, one by one or all at once."""
    single = small_manifest(tmp_path / "single", tokens=0)
    for number in range(258):
        single.append(set_aside(number))
    at_once = small_manifest(tmp_path / "at once", tokens=0)
    assert at_once.append_many([Addition(entry=set_aside(n)) for n in range(258)]) == 1
    assert single.checkpoint == at_once.checkpoint
    assert names_in(tmp_path / "at once") <= names_in(tmp_path / "single")
    tiles = {n for n in names_in(tmp_path / "single") if n.startswith("tile/")}
    assert tiles == {
        "tile/0/000",
        "tile/1/000.p/1",
        "tile/entries/000",
        *(f"tile/{level}/001.p/{width}" for level in ("0", "entries") for width in (1, 2, 3)),
    }
    for name in ("single", "at once"):
        assert verify_manifest(tmp_path / name).findings == ()
        assert Manifest.open(tmp_path / name).entry(257) == set_aside(256)


def test_proofs_from_tiles(tmp_path: Path) -> None:
    """Proofs made from the folder's tiles verify against its checkpoints."""
    manifest = small_manifest(tmp_path, tokens=5)
    before = manifest.checkpoint
    append(manifest, 5)
    now = manifest.checkpoint
    prover = Manifest.open(tmp_path).prover()
    leaf = leaf_hash(encode_entry(issued(3)))
    assert verify_inclusion(leaf, 4, now.size, prover.inclusion(4), now.root)
    proof = prover.consistency(before.size)
    assert verify_consistency(before.size, before.root, now.size, now.root, proof)


def documented(beginning: str) -> str:
    """The commands in docs/formats.md that begin like this."""
    page = Path(__file__).parents[2] / "docs/formats.md"
    blocks = re.findall(r"(?m)(?:^    \S.*\n)+", page.read_text())
    (found,) = [textwrap.dedent(block) for block in blocks if block.strip().startswith(beginning)]
    return found


def test_openssl_alone(tmp_path: Path) -> None:
    """OpenSSL verifies the checkpoint by the documented commands, and not a changed one."""
    small_manifest(tmp_path)
    raw = base64.b64decode((tmp_path / "manifest.vkey").read_text().split("+", 2)[2])[1:]
    (tmp_path / "pub.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + raw)
    to_pem = "openssl pkey -pubin -inform DER -in pub.der -out pub.pem"
    subprocess.run(to_pem.split(), cwd=tmp_path, check=True)
    commands = documented("sed")
    assert "openssl pkeyutl -verify" in commands
    done = subprocess.run(["sh", "-ec", commands], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_text(checkpoint.read_text().replace("\n4\n", "\n5\n"))
    done = subprocess.run(["sh", "-ec", commands], cwd=tmp_path, capture_output=True)
    assert b"Failure" in done.stdout + done.stderr
    assert done.returncode == 1, done


def test_commitment_with_sha256sum(tmp_path: Path) -> None:
    """The documented command computes a commitment from its opening."""
    small_manifest(tmp_path)
    commitment = opening(1).commitment
    command = f"C={commitment}; {documented('{ echo')}"
    done = subprocess.run(["sh", "-ec", command], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode().split()[0] == commitment


def test_create(tmp_path: Path) -> None:
    """A manifest is created once, under its key's name; a cut-off creation goes on."""
    with pytest.raises(ManifestError, match="named"):
        Manifest.create(tmp_path / "m", "other.example", SIGNER)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/manifest.vkey").write_text("torn")
    assert Manifest.create(tmp_path / "m", ORIGIN, SIGNER).size == 0
    assert verify_manifest(tmp_path / "m").holds
    with pytest.raises(ManifestError, match="holds a manifest"):
        Manifest.create(tmp_path / "m", ORIGIN, SIGNER)


def test_open_refusals(tmp_path: Path) -> None:
    """Not opened: nothing there, another's key, a damaged edge."""
    with pytest.raises(ManifestError, match="manifest.vkey"):
        Manifest.open(tmp_path / "nothing")
    small_manifest(tmp_path / "m")
    stranger = Signer(ORIGIN, KeyInMemory(private=ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(ManifestError, match="no signature by a known key"):
        Manifest.open(tmp_path / "m", stranger)
    for name in ("tile/0/000.p/4", "tile/entries/000.p/4"):
        whole = (tmp_path / "m" / name).read_bytes()
        (tmp_path / "m" / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(ManifestError, match="right edge"):
            Manifest.open(tmp_path / "m", SIGNER)
        (tmp_path / "m" / name).write_bytes(whole)
    Manifest.open(tmp_path / "m", SIGNER)


@pytest.mark.parametrize(
    ("entry", "given", "why"),
    [
        (station(), [], "first entry"),
        (issued(7), [], "missing"),
        (issued(7), [*blobs(7), b"more"], "not named"),
        (issued(7, kind="promoted"), blobs(7), "promoted"),
    ],
)
def test_append_refusals(
    tmp_path: Path, entry: dict[str, Any], given: list[bytes], why: str
) -> None:
    """An entry that is refused changes nothing in the folder."""
    manifest = small_manifest(tmp_path)
    before = names_in(tmp_path)
    with pytest.raises(ManifestError, match=why):
        manifest.append(entry, given)
    with pytest.raises(ManifestError, match="not of this entry's holder"):
        manifest.append(issued(7), blobs(7), opening(8))
    with pytest.raises(ManifestError, match="for reading"):
        Manifest.open(tmp_path).append(issued(7), blobs(7))
    assert names_in(tmp_path) == before
    assert append(manifest, 7) == 4


def test_first_entry(tmp_path: Path) -> None:
    """A log does not begin with anything but its station."""
    manifest = Manifest.create(tmp_path, ORIGIN, SIGNER)
    with pytest.raises(ManifestError, match="Append the station's entry first"):
        append(manifest, 0)


def test_shared_blobs(tmp_path: Path) -> None:
    """A blob that is there is not written again, and need not be given again."""
    manifest = small_manifest(tmp_path)
    name = next(n for n in names_in(tmp_path) if n.startswith("blobs/"))
    inode = os.stat(tmp_path / name).st_ino
    changed = os.stat(tmp_path / name).st_mtime_ns
    manifest.append(issued(0, order="b1-9000"))
    manifest.append(issued(0, order="b1-9001"), blobs(0), opening(0))
    assert (os.stat(tmp_path / name).st_ino, os.stat(tmp_path / name).st_mtime_ns) == (
        inode,
        changed,
    )
    assert verify_manifest(tmp_path).findings == ()


def test_append_from_threads(tmp_path: Path) -> None:
    """Sixteen workers append at once; every entry gets an index of its own."""
    manifest = small_manifest(tmp_path, tokens=0)
    got: list[int] = []

    def work(number: int) -> None:
        got.append(append(manifest, number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 17))
    assert verify_manifest(tmp_path).findings == ()


def test_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append with thirty blobs waits for the disk five times."""
    manifest = small_manifest(tmp_path)
    waits: list[str] = []

    def everything(_: int) -> int:
        waits.append("all")
        return 0

    monkeypatch.setattr(os, "fsync", lambda _: waits.append("file or folder"))
    monkeypatch.setattr(files, "_SYNCFS", everything)
    many = [f"blob {n}".encode() for n in range(30)]
    entry = issued(7)
    entry["steps"][0]["evidence"] = [
        {"type": "certificate", "sha256": hashlib.sha256(blob).hexdigest()} for blob in many
    ]
    manifest.append(entry, [*many, blobs(7)[1]], opening(7))
    assert sorted(waits) == ["all", *["file or folder"] * 4]


class Cut(BaseException):
    """The process ended here."""


def cut_at(monkeypatch: pytest.MonkeyPatch, limit: int) -> list[str]:
    """Let so many changing calls through, then end."""
    seen: list[str] = []

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(seen) == limit:
                raise Cut
            seen.append(name)
            return real(*args, **kwargs)

        return call

    for name in ("open", "write", "fsync", "replace", "link", "unlink", "mkdir", "rmdir"):
        monkeypatch.setattr(os, name, wrapped(name, getattr(os, name)))
    return seen


@pytest.mark.parametrize("size", [3, 255])
def test_cut_at_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Cut an append at any call: the next open has the old log or the new, and goes on.

    At 255 entries the append fills a tile, so that partial ones are removed as well.
    """
    manifest = small_manifest(tmp_path / "before", tokens=1)
    manifest.append_many([Addition(entry=set_aside(n)) for n in range(size - 2)])
    folder = tmp_path / "m"
    sizes = set()
    for limit in range(1000):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "before", folder)
        manifest = Manifest.open(folder, SIGNER)
        with monkeypatch.context() as patch:
            cut_at(patch, limit)
            try:
                append(manifest, 7)
            except Cut:
                done = False
            else:
                done = True
        assert Manifest.open(folder).size in (size, size + 1)  # a reader is not disturbed
        again = Manifest.open(folder, SIGNER)
        sizes.add(again.size)
        assert verify_manifest(folder).findings == ()
        if limit % 7 == 0 or done:
            assert append(again, 8) == again.size - 1
            assert verify_manifest(folder).findings == ()
        if done:
            break
    assert done
    assert sizes == {size, size + 1}
    assert limit > 20


def test_failed_append_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a full disk the same object finds out where the log stands, and goes on."""
    manifest = small_manifest(tmp_path)
    real = os.replace

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_afterwards(*args: Any) -> None:
        real(*args)
        full()

    for failing, size in ((full, 5), (full_afterwards, 7)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", failing)
            with pytest.raises(DurabilityError, match="Free some space"):
                append(manifest, 10 + size)
        assert append(manifest, 20 + size) == size - 1
        assert verify_manifest(tmp_path).findings == ()


def test_torn_pending(tmp_path: Path) -> None:
    """A torn `pending` means that nothing else was begun; one that came back is ignored."""
    small_manifest(tmp_path)
    before = names_in(tmp_path)
    digest = hashlib.sha256(blobs(0)[0]).hexdigest()
    stale: dict[str, Any] = {"files": [f"blobs/sha256/{digest[:2]}/{digest}"], "size": 1}
    evil: dict[str, Any] = {"files": ["checkpoint", "../x", "manifest.vkey", 5], "size": 4}
    for content in (b"", b'{"files":[', rfc8785.dumps(stale), rfc8785.dumps(evil)):
        (tmp_path / "pending").write_bytes(content)
        assert [f.rule for f in verify_manifest(tmp_path).findings] == ["pending"]
        Manifest.open(tmp_path, SIGNER)
        assert names_in(tmp_path) == before


def test_erase_opening(tmp_path: Path) -> None:
    """An identity is erased and everything still verifies."""
    manifest = small_manifest(tmp_path)
    manifest.erase_opening(opening(1).commitment)
    manifest.erase_opening(opening(1).commitment)
    assert manifest.opening(opening(1).commitment) is None
    report = verify_manifest(tmp_path)
    assert report.holds
    assert (report.identities, report.openings) == (3, 2)


def test_commitment_by_hand() -> None:
    """The commitment is SHA-256 of the domain line and the opening's file."""
    file = opening(1).to_bytes()
    assert file.startswith(b'{"holder":{"email":"p1@example.org"')
    expected = hashlib.sha256(b"tokenprov/holder/v1\n" + file).hexdigest()
    assert opening(1).commitment == expected
    assert Opening.parse(file) == opening(1)
    assert "p1" not in repr(opening(1))
    with pytest.raises(ValueError, match="salt"):
        commit_holder(Holder(id="a", name="b", email="c"), b"short")


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"holder": {}, "salt": "00" * 31},
        {"holder": {}, "salt": "0G" * 32},
        {"holder": {}, "salt": 5},
        {"holder": [], "salt": "00" * 32},
        {"holder": {}, "salt": "00" * 32, "more": 1},
    ],
)
def test_opening_refusals(document: Any) -> None:
    """An opening of another shape is none."""
    with pytest.raises(ManifestError) as caught:
        Opening.parse(rfc8785.dumps(document))
    assert caught.value.rule == "opening"


def test_station_entry() -> None:
    """The first entry made for the caller is the one in the sample."""
    made = station_entry(
        time=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
        station="station-a",
        operator="olga",
        custodians=[("help-desk", "0011223344556677")],
    )
    assert made == station()
    assert decode_entry(encode_entry(made)) == made


def test_two_processes_in_turn(tmp_path: Path) -> None:
    """Who opened while another one appended clears nothing of theirs, and appends after it."""
    writer = small_manifest(tmp_path)
    other = Manifest.open(tmp_path, SIGNER, alone=False)
    third = Manifest.open(tmp_path, SIGNER, alone=False)
    assert append(writer, 3) == 4
    (tmp_path / "pending").write_bytes(b'{"files":[],"size":5}')
    Manifest.open(tmp_path, SIGNER, alone=False)
    assert (tmp_path / "pending").exists()
    assert append(other, 4) == 5
    assert not (tmp_path / "pending").exists()
    third.take_up()
    assert third.size == 6
    assert verify_manifest(tmp_path).holds
