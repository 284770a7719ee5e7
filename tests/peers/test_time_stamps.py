"""RFC 3161 time stamps on checkpoints: `openssl ts` is the authority, and judges as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.malformed import damaged, faults
from tests.peers.test_verifier_script import run_script
from tests.record_samples import SIGNER, append, small_manifest
from tests.stations import Said, tell
from tests.time_authority import Authority, openssl, time_authority
from tokenprov.attestation.anchors import certificates_in
from tokenprov.record.manifest import Manifest
from tokenprov.record.timestamp import read_stamp

KEY = ("--key", str(SIGNER.verifier))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """It answers all tests of this file."""
    with time_authority(tmp_path_factory.mktemp("tsa")) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a manifest of four entries, and nothing else."""
    small_manifest(tmp_path / "home" / "manifest").close()
    return tmp_path / "home"


def stamp(home: Path, authority: Authority, path: str = "") -> Said:
    """Ask for a stamp."""
    options = ("--tsa", authority.url + path, "--tsa-root", authority.root)
    return tell("--home", home, "manifest", "timestamp", *options)


def verify(home: Path, root: Path) -> Said:
    """Judge the manifest by a root of authorities."""
    return tell("manifest", "verify", home / "manifest", *KEY, "--tsa-root", root, "--json")


def test_stamped(home: Path, authority: Authority) -> None:
    """Stamps of two sizes hold here and by OpenSSL, also when the log has grown."""
    manifest = home / "manifest"
    said = verify(home, authority.root)
    assert [one["rule"] for one in said.document["findings"]] == ["timestamp"]
    text = (manifest / "checkpoint").read_text().rpartition("\n\n")[0] + "\n"
    for _ in range(2):
        said = stamp(home, authority)
        assert said.code == 0, said.err
    append(Manifest.open(manifest, SIGNER), 7)
    assert stamp(home, authority).code == 0
    names = sorted(path.name for path in (manifest / "timestamps").iterdir())
    assert names == ["4-1.tsr", "4-2.tsr", "5-1.tsr"]
    said = verify(home, authority.root)
    assert said.code == 0, said.out
    assert [one["size"] for one in said.document["stamps"]] == [4, 4, 5]
    told = tell("manifest", "verify", manifest, *KEY, "--tsa-root", authority.root)
    assert "5 of them by 20" in told.out
    assert run_script(*KEY, manifest).returncode == 0
    (authority.folder / "text").write_text(text)
    asked = ("ts", "-verify", "-in", manifest / "timestamps/4-1.tsr", "-data", "text")
    done = openssl(authority.folder, *asked, "-CAfile", "root.pem")
    assert b"Verification: OK" in done.stdout + done.stderr, done


def test_what_does_not_hold(home: Path, authority: Authority) -> None:
    """A stranger's root, another size, a turned bit and a stamp of what is not there are found."""
    stamps = home / "manifest" / "timestamps"
    assert stamp(home, authority).code == 0
    append(Manifest.open(home / "manifest", SIGNER), 7)
    whole = (stamps / "4-1.tsr").read_bytes()
    assert verify(home, authority.root).code == 0
    assert verify(home, authority.folder / "stranger.pem").code == 6
    for name, data, rules in (
        ("5-1.tsr", whole, {"timestamp"}),  # over the checkpoint of four
        ("4-2.tsr", whole[:-1] + bytes([whole[-1] ^ 1]), {"timestamp"}),
        ("4-3.tsr", b"torn", {"timestamp"}),
        ("9-1.tsr", whole, {"stray"}),
        ("04-1.tsr", whole, {"stray"}),
    ):
        (stamps / name).write_bytes(data)
        found = verify(home, authority.root).document["findings"]
        assert {one["rule"] for one in found} == rules, name
        assert {one["file"] for one in found} == {f"timestamps/{name}"}
        (stamps / name).unlink()


def test_a_damaged_answer(home: Path, authority: Authority) -> None:
    """An answer that is cut or changed anywhere is refused by a reason."""
    assert stamp(home, authority).code == 0
    good = (home / "manifest" / "timestamps" / "4-1.tsr").read_bytes()
    text = (home / "manifest" / "checkpoint").read_text().rpartition("\n\n")[0] + "\n"
    roots = certificates_in(authority.root.read_bytes(), where="root.pem")
    assert read_stamp(good, text, roots)
    assert not faults(lambda data: read_stamp(data, text, roots), damaged(good, places=len(good)))


def test_authorities_that_do_not_stamp(home: Path, authority: Authority) -> None:
    """One that is busy, answers something else or to somebody else, and none at all: no file."""
    for path, code, why in (
        ("/busy", 2, "answers 503"),
        ("/torn", 6, "does not hold"),
        ("/other", 6, "does not hold"),
    ):
        said = stamp(home, authority, path)
        assert (said.code, why in said.err) == (code, True), said.err
    ask = ("--home", home, "manifest", "timestamp")
    said = tell(*ask, "--tsa", "http://127.0.0.1:9", "--tsa-root", authority.root)
    assert (said.code, "does not answer" in said.err) == (2, True)
    said = tell(*ask, "--tsa", authority.url)
    assert (said.code, "no root is given" in said.err) == (2, True)
    assert not (home / "manifest" / "timestamps").exists()
    assert tell("manifest", "verify", home / "manifest", *KEY).code == 0
