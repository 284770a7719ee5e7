"""Judging manifests: whatever was changed is named, and what holds is not."""

import base64
import hashlib
import os
import random
import shutil
from collections.abc import Callable, Sequence
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
from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.manifest import Addition, Manifest, verify_manifest
from tokenprov.record.note import sign_note
from tokenprov.record.signer import KeyInMemory, Signer
from tokenprov.record.tlog import RightEdge, bundle_path, leaf_hash, pack_bundle


def rules(folder: Path) -> list[str]:
    """The rules that do not hold."""
    return [finding.rule for finding in verify_manifest(folder).findings]


def write_log(folder: Path, entries: Sequence[bytes]) -> None:
    """A log of any bytes, signed with the station's key: what a dishonest station could make."""
    shutil.rmtree(folder, ignore_errors=True)
    Manifest.create(folder, ORIGIN, SIGNER)
    edge = RightEdge()
    for entry in entries:
        edge.append(leaf_hash(entry))
    files = {tile.path: data for tile, data in edge.partial().items()}
    files[bundle_path(0, len(entries))] = pack_bundle(entries)
    head = Checkpoint(origin=ORIGIN, size=len(entries), root=edge.root())
    files["checkpoint"] = sign_note(head.text(), [SIGNER]).to_bytes()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def write_entries(folder: Path, entries: Sequence[dict[str, Any]]) -> None:
    """The same, of entries, with all that they refer to."""
    write_log(folder, [rfc8785.dumps(entry) for entry in entries])
    for number in range(3):
        for blob in blobs(number):
            digest = hashlib.sha256(blob).hexdigest()
            if any(digest.encode() in rfc8785.dumps(entry) for entry in entries):
                path = folder / "blobs/sha256" / digest[:2] / digest
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(blob)


def test_report(tmp_path: Path) -> None:
    """What holds is counted: tokens, virtual ones, holders, identities held."""
    manifest = small_manifest(tmp_path)
    report = verify_manifest(tmp_path, str(SIGNER.verifier))
    assert report.holds
    assert (report.origin, report.station, report.size) == (ORIGIN, "station-a", 4)
    assert (report.issued, report.virtual, report.identities, report.openings) == (3, 2, 3, 3)
    assert report.root == manifest.checkpoint.root.hex()


def test_empty_manifest(tmp_path: Path) -> None:
    """A log without an entry holds."""
    Manifest.create(tmp_path, ORIGIN, SIGNER)
    assert verify_manifest(tmp_path).holds


def flips(path: Path, most: int) -> list[tuple[int, int]]:
    """Every byte of a small file, some of a large one, with the bit to turn."""
    size = path.stat().st_size
    places = list(range(size))
    if size > most:
        places = sorted(random.Random(str(path)).sample(places, most - 2) + [0, size - 1])
    return [(at, 1 << (at % 8)) for at in places]


def check_flips(folder: Path, most: int) -> None:
    """Turn bits one at a time; a finding must name the file, or for a bundle its entry."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        whole = path.read_bytes()
        for at, bit in flips(path, most):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            named = {finding.file for finding in verify_manifest(folder).findings}
            assert name in named, (name, at, bit, named)
        path.write_bytes(whole)
    assert verify_manifest(folder).findings == ()


def test_one_changed_byte(tmp_path: Path) -> None:
    """One byte changed in any file of a small manifest is found, and the file is named."""
    small_manifest(tmp_path, tokens=2)
    check_flips(tmp_path, most=300)


def test_one_changed_byte_over_a_tile(tmp_path: Path) -> None:
    """The same where there are full tiles and a level above."""
    manifest = small_manifest(tmp_path, tokens=0)
    manifest.append_many([Addition(entry=set_aside(n)) for n in range(258)])
    check_flips(tmp_path, most=12)


def test_changed_entry_is_named_by_its_number(tmp_path: Path) -> None:
    """A changed entry is named as entry 2, though nothing of it can be parsed any more."""
    small_manifest(tmp_path)
    path = tmp_path / "tile/entries/000.p/4"
    path.write_bytes(path.read_bytes().replace(b'"10000001"', b'"1000000""'))
    findings = verify_manifest(tmp_path).findings
    assert [(f.rule, f.index) for f in findings] == [("root", None), ("entry", 2)]
    assert "entry 2" in str(findings[1])


def test_changed_tile_is_told_from_changed_entry(tmp_path: Path) -> None:
    """Where the entries have the signed root, it is the tile that was changed."""
    small_manifest(tmp_path)
    path = tmp_path / "tile/0/000.p/4"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    (finding,) = verify_manifest(tmp_path).findings
    assert (finding.rule, finding.file) == ("tile", "tile/0/000.p/4")
    assert "entry 3" in finding.what


def test_another_history(tmp_path: Path) -> None:
    """Entries and tiles exchanged for others that agree: the signed root is not theirs."""
    small_manifest(tmp_path / "a")
    small_manifest(tmp_path / "b", tokens=2)
    append(Manifest.open(tmp_path / "b", SIGNER), 9)
    for name in ("tile", "blobs", "openings"):
        shutil.rmtree(tmp_path / "a" / name)
        shutil.copytree(tmp_path / "b" / name, tmp_path / "a" / name)
    assert rules(tmp_path / "a") == ["root"]


def test_given_key(tmp_path: Path) -> None:
    """Under another key than the folder's own, neither that nor the signature holds."""
    small_manifest(tmp_path)
    stranger = Signer(ORIGIN, KeyInMemory(private=ed25519.Ed25519PrivateKey.generate()))
    report = verify_manifest(tmp_path, stranger.verifier)
    assert [f.rule for f in report.findings] == ["verifier-key", "signature"]
    elsewhere = Signer("other.example", KeyInMemory(private=ed25519.Ed25519PrivateKey.generate()))
    assert "origin" in [f.rule for f in verify_manifest(tmp_path, elsewhere.verifier).findings]
    with pytest.raises(ManifestError):
        verify_manifest(tmp_path, "no key")


def test_not_a_manifest(tmp_path: Path) -> None:
    """A folder with nothing in it, and one that is not there, are found to be none."""
    for folder in (tmp_path, tmp_path / "nothing"):
        assert rules(folder) == ["missing", "missing"]


@pytest.mark.parametrize(
    "name",
    ["checkpoint", "manifest.vkey", "tile/0/000.p/4", "tile/entries/000.p/4"],
)
def test_missing_files(tmp_path: Path, name: str) -> None:
    """A file that is not there is named."""
    small_manifest(tmp_path)
    (tmp_path / name).unlink()
    assert ("missing", name) in [(f.rule, f.file) for f in verify_manifest(tmp_path).findings]


def test_both_sides_missing(tmp_path: Path) -> None:
    """Without entries and tiles there is nothing to compute; blobs are not called strays."""
    small_manifest(tmp_path)
    shutil.rmtree(tmp_path / "tile")
    assert rules(tmp_path) == ["missing", "missing"]


def test_missing_blob(tmp_path: Path) -> None:
    """A missing blob is named with the entry that refers to it."""
    small_manifest(tmp_path)
    digest = hashlib.sha256(blobs(1)[0]).hexdigest()
    (tmp_path / f"blobs/sha256/{digest[:2]}/{digest}").unlink()
    (finding,) = verify_manifest(tmp_path).findings
    assert (finding.rule, finding.index) == ("missing", 2)
    assert finding.file.endswith(digest)


def test_early_partial_tiles_may_be_gone(tmp_path: Path) -> None:
    """Partial tiles of earlier sizes are not needed for the present one."""
    small_manifest(tmp_path)
    for name in ("tile/0/000.p/2", "tile/entries/000.p/3"):
        (tmp_path / name).unlink()
    assert verify_manifest(tmp_path).holds


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "blobs/readme",
        "blobs/sha256/00/" + "00" * 32,
        "blobs/sha256/00/" + "01" * 32,
        "openings/x.json",
        "tile/0/001",
        "tile/0/000.p/5",
        "tile/0/000",
        "tile/entries/000.p/5",
        "tile/1/000.p/1",
        ".checkpoint.old",
    ],
)
def test_strays(tmp_path: Path, name: str) -> None:
    """A file that nothing refers to is named."""
    small_manifest(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    assert [(f.rule, f.file) for f in verify_manifest(tmp_path).findings] == [("stray", name)]


def test_stray_opening(tmp_path: Path) -> None:
    """An opening of a holder who is not in the log, and one under another's name, are named."""
    small_manifest(tmp_path)
    stranger = tmp_path / f"openings/{opening(9).commitment}.json"
    stranger.write_bytes(opening(9).to_bytes())
    assert rules(tmp_path) == ["stray"]
    stranger.unlink()
    (tmp_path / f"openings/{opening(1).commitment}.json").write_bytes(opening(9).to_bytes())
    assert rules(tmp_path) == ["opening"]


def test_links(tmp_path: Path) -> None:
    """A link in a file's place is named, though what it leads to is right."""
    small_manifest(tmp_path / "m")
    os.rename(tmp_path / "m/tile/0/000.p/4", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", tmp_path / "m/tile/0/000.p/4")
    os.symlink(tmp_path, tmp_path / "m/tile/1")
    assert {f.file for f in verify_manifest(tmp_path / "m").findings} == {
        "tile/0/000.p/4",
        "tile/1",
    }


def test_cut_off_append(tmp_path: Path) -> None:
    """An append that is under way is one finding, not one for each file that is coming."""
    small_manifest(tmp_path)
    coming = [f"openings/{opening(9).commitment}.json", "tile/0/000.p/5"]
    (tmp_path / coming[0]).write_bytes(opening(9).to_bytes())
    (tmp_path / coming[1]).write_bytes(b"torn")
    (tmp_path / "pending").write_bytes(rfc8785.dumps({"files": list(coming), "size": 4}))
    assert rules(tmp_path) == ["pending"]
    Manifest.open(tmp_path, SIGNER)
    assert verify_manifest(tmp_path).holds


def test_extra_signature_line(tmp_path: Path) -> None:
    """A stranger's signature does not make the checkpoint another one."""
    small_manifest(tmp_path)
    witness = Signer("witness.example", KeyInMemory(private=ed25519.Ed25519PrivateKey.generate()))
    path = tmp_path / "checkpoint"
    text = path.read_text().rpartition("\n\n")[0] + "\n"
    path.write_bytes(sign_note(text, [SIGNER, witness]).to_bytes())
    assert verify_manifest(tmp_path).holds


BACK = dict(issued(1), token=issued(0)["token"])  # token 0, for another holder


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([station(), issued(0), issued(1)], []),
        ([issued(0)], [("first-entry", 0)]),
        ([station(), station()], [("first-entry", 1)]),
        ([station(), issued(0, station="station-b")], [("station", 1)]),
        ([station(), issued(0), issued(0)], [("order", 2)]),
        ([station(), issued(0), BACK], [("binding", 2)]),
        ([station(), issued(0), set_aside(0), BACK], []),
        ([station(), issued(0), issued(0, order="b2-0000")], []),
        ([station(), issued(0), BACK, BACK | {"order": "b2-0001"}], [("binding", 2)]),
    ],
)
def test_history(
    tmp_path: Path, entries: list[dict[str, Any]], expected: list[tuple[str, int]]
) -> None:
    """What cannot follow is named by its number, in a log that is signed and whole."""
    write_entries(tmp_path / "m", entries)
    findings = verify_manifest(tmp_path / "m").findings
    assert [(f.rule, f.index) for f in findings] == expected


def test_tokens_without_serial_are_nobodys(tmp_path: Path) -> None:
    """Two tokens without a serial are not taken for one."""
    nameless = issued(0)["token"] | {"serial": None}
    entries = [station(), issued(0, token=nameless), issued(1, token=nameless)]
    write_entries(tmp_path / "m", entries)
    assert verify_manifest(tmp_path / "m").holds


def without(entry: dict[str, Any], *path: Any) -> dict[str, Any]:
    """The entry with one member taken out."""
    *way, last = path
    inner: Any = entry
    for name in way:
        inner = inner[name]
    del inner[last]
    return entry


def with_value(entry: dict[str, Any], *path: Any) -> dict[str, Any]:
    """The entry with one member set to the last argument."""
    *way, last, value = path
    inner: Any = entry
    for name in way:
        inner = inner[name]
    inner[last] = value
    return entry


@pytest.mark.parametrize(
    ("make", "rule", "why"),
    [
        (lambda: issued(0, v=2), "schema", "v is not 1"),
        (lambda: issued(0, v=True), "schema", "v is not 1"),
        (lambda: issued(0, kind="promoted"), "kind", "promoted"),
        (lambda: issued(0, kind=[]), "kind", "not known"),
        (lambda: [], "kind", "not known"),
        (lambda: issued(0, more=1), "schema", "more is not known"),
        (lambda: without(issued(0), "operator"), "schema", "operator is missing"),
        (lambda: without(issued(0), "token", "virtual"), "schema", "token.virtual is missing"),
        (lambda: issued(0, operator=""), "schema", "operator"),
        (lambda: issued(0, time="2026-02-30T00:00:00Z"), "schema", "time"),
        (lambda: issued(0, time="2026-02-03T04:05:06+00:00"), "schema", "time"),
        (lambda: issued(0, kit={"position": 2, "size": 2}), "schema", "kit.position"),
        (lambda: issued(0, kit={"position": -1, "size": 2}), "schema", "kit.position"),
        (lambda: issued(0, holder={"commitment": "AB" * 32}), "schema", "holder.commitment"),
        (lambda: issued(0, holder={"name": "Zoë"}), "schema", "holder"),
        (lambda: with_value(issued(0), "steps", 0, "state", "absent"), "schema", "steps[0].state"),
        (lambda: with_value(issued(0), "steps", 0, "facts", []), "schema", "steps[0].facts"),
        (lambda: with_value(issued(0), "token", "serial", 5), "schema", "token.serial"),
        (lambda: with_value(issued(0), "token", "grade", "good"), "schema", "token.grade"),
        (lambda: with_value(issued(0), "secrets", 0, "generation", 0), "schema", "generation"),
        (lambda: with_value(issued(0), "secrets", 0, "kid", "x"), "schema", "secrets[0].kid"),
        (lambda: with_value(issued(0), "secrets", 0, "value", "123"), "schema", "not known"),
        (lambda: issued(0, approvers=["pavel"]), "schema", "approvers[0]"),
        (lambda: issued(0, steps={}), "schema", "steps is not a list"),
        (lambda: without(set_aside(0), "reason"), "schema", "reason is missing"),
        (lambda: without(station(), "custodians"), "schema", "custodians is missing"),
    ],
)
def test_schema(tmp_path: Path, make: Callable[[], Any], rule: str, why: str) -> None:
    """Each departure from an entry's shape is named with the member, written or read."""
    first = station()
    write_log(tmp_path / "m", [rfc8785.dumps(first), rfc8785.dumps(make())])
    (finding,) = verify_manifest(tmp_path / "m").findings
    assert (finding.rule, finding.index) == (rule, 1)
    assert why in finding.what
    manifest = small_manifest(tmp_path / "w", tokens=0)
    with pytest.raises(ManifestError) as caught:
        manifest.append(make(), blobs(0))
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        rfc8785.dumps(set_aside(0)).replace(b'{"approvers"', b'{ "approvers"'),
        rfc8785.dumps(set_aside(0)).replace(b'"v":1', b'"v":1.0'),
        b"\xff",
    ],
)
def test_canonical_form(tmp_path: Path, data: bytes) -> None:
    """An entry in another spelling is named."""
    write_log(tmp_path / "m", [rfc8785.dumps(station()), data])
    assert [(f.rule, f.index) for f in verify_manifest(tmp_path / "m").findings] == [
        ("canonical", 1)
    ]


def test_optional_members(tmp_path: Path) -> None:
    """What may stand in an entry beside the rest is accepted."""
    entry = issued(0, clearance={"waivers": ["w-1"]})
    entry["token"] |= {"mark": "chuid:00", "grade": "attested"}
    entry["steps"].append({"id": "otp/1", "state": "skipped", "facts": {}, "reason": "kept"})
    write_entries(tmp_path / "m", [station(), entry])
    assert verify_manifest(tmp_path / "m").holds


def test_too_long_an_entry(tmp_path: Path) -> None:
    """An entry beyond what a bundle can hold is refused before anything is written."""
    manifest = small_manifest(tmp_path, tokens=0)
    with pytest.raises(ManifestError, match="65535"):
        manifest.append(set_aside(0) | {"reason": "x" * 65_536})
    assert manifest.append(set_aside(0)) == 1


def test_signature_of_another_text(tmp_path: Path) -> None:
    """A checkpoint of the same log at another size, its signature put here, is refused."""
    manifest = small_manifest(tmp_path)
    before = (tmp_path / "checkpoint").read_text()
    append(manifest, 5)
    now = (tmp_path / "checkpoint").read_text()
    mixed = now.rpartition("\n\n")[0] + "\n\n" + before.rpartition("\n\n")[2]
    (tmp_path / "checkpoint").write_text(mixed)
    assert rules(tmp_path) == ["signature"]
    assert base64.b64decode(before.split()[-1])[:4] == SIGNER.verifier.key_id
