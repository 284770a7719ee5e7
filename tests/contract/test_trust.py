"""`tokenprov trust`: roots come in by fingerprint alone, and what cannot hold is found."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.record_samples import blobs, issued, opening
from tests.stations import Station, tell
from tokenprov.home import Home

ROOT_1 = "62760c6a6ef91679f454c8902b80fd009825b3f25da90f1fbace2ec6586cd5a8"  # the maker's


def certificate(
    path: Path, name: str, *, issuer: str = "", until: dt.datetime | None = None
) -> str:
    """A certificate in a file, self-signed unless an issuer is named; gives its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    made = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer or name))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=10))
        .not_valid_after(until or now + dt.timedelta(days=10))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return made.fingerprint(hashes.SHA256()).hex()


def fresh(tmp_path: Path) -> Station:
    """A home that trusts the makers' roots alone."""
    station = Station(home=tmp_path / "home")
    assert tell("init", station.home, "--name", "bench").code == 0
    return station


def test_a_root_comes_in_by_its_fingerprint(tmp_path: Path) -> None:
    """Named as OpenSSL prints it, it is listed as the station's, beside the makers'; all hold."""
    station = fresh(tmp_path)
    digest = certificate(tmp_path / "own.pem", "Example Attestation Root")
    printed = ":".join(digest[i : i + 2] for i in range(0, 64, 2)).upper()
    said = station.tell("trust", "import", tmp_path / "own.pem", "--fingerprint", printed)
    assert said.code == 0, said.err
    kinds = {
        one["fingerprint"]: one["kind"] for one in station.tell("trust", "list", "--json").document
    }
    assert (kinds[digest], kinds[ROOT_1]) == ("station", "vendor")
    assert digest in station.tell("trust", "list").out
    again = station.tell("trust", "import", tmp_path / "own.pem", "--fingerprint", digest)
    assert again.code == 0
    assert station.tell("trust", "check").code == 0


def test_what_init_is_told_to_trust_is_trusted(tmp_path: Path) -> None:
    """Whatever the file is called; and where it holds no certificate, no home is made."""
    digest = certificate(tmp_path / "own.crt", "Example Attestation Root")
    station = Station(home=tmp_path / "home")
    assert tell("init", station.home, "--name", "b", "--trust", tmp_path / "own.crt").code == 0
    assert digest in station.tell("trust", "list").out
    (tmp_path / "none").write_text("no certificate")
    said = tell("init", tmp_path / "other", "--name", "b", "--trust", tmp_path / "none")
    assert (said.code, "certificates in PEM" in said.err) == (2, True), said.err
    assert not (tmp_path / "other").exists()


def test_another_fingerprint_is_refused(tmp_path: Path) -> None:
    """A file that holds another certificate, or one more than was named, changes nothing."""
    station = fresh(tmp_path)
    first = certificate(tmp_path / "a.pem", "A")
    certificate(tmp_path / "b.pem", "B")
    both = (tmp_path / "a.pem").read_bytes() + (tmp_path / "b.pem").read_bytes()
    (tmp_path / "both.pem").write_bytes(both)
    (tmp_path / "none.pem").write_text("no certificate")
    for name in ("b.pem", "both.pem", "none.pem"):
        said = station.tell("trust", "import", tmp_path / name, "--fingerprint", first)
        assert said.code == 2, name
    assert list((station.home / "trust").iterdir()) == []


def test_what_cannot_hold_is_found(tmp_path: Path) -> None:
    """An expired root, and one between that leads nowhere, are exit code 6."""
    station = fresh(tmp_path)
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    expired = certificate(tmp_path / "old.pem", "Old Root", until=past)
    lost = certificate(tmp_path / "lost.pem", "Lost", issuer="Nobody")
    for name, digest in (("old.pem", expired), ("lost.pem", lost)):
        station.tell("trust", "import", tmp_path / name, "--fingerprint", digest)
    said = station.tell("trust", "check", "--json")
    assert said.code == 6
    assert {one["fingerprint"] for one in said.document["findings"]} == {expired, lost}
    assert station.tell("trust", "check").code == 6


def test_a_virtual_root_is_not_trusted_beside_real_tokens(tmp_path: Path) -> None:
    """Where a real token was issued, a root of virtual ones is refused; another one is not."""
    station = fresh(tmp_path)
    home = Home.open(station.home)
    with home.working():
        entry = issued(1, station="bench", time=home.manifest.latest())
        home.manifest.append(entry, blobs(1), opening(1))
    virtual = certificate(tmp_path / "v.pem", "Virtual Attestation Root")
    said = station.tell("trust", "import", tmp_path / "v.pem", "--fingerprint", virtual)
    assert said.code == 2
    assert "entry 1 issued a real token" in said.err
    own = certificate(tmp_path / "own.pem", "Example Attestation Root")
    assert station.tell("trust", "import", tmp_path / "own.pem", "--fingerprint", own).code == 0
    assert virtual not in station.tell("trust", "list").out


def test_a_real_root_is_not_trusted_beside_virtual_ones(tmp_path: Path) -> None:
    """A home for trying out takes further virtual roots, and none of a maker."""
    station = Station(home=tmp_path / "station")
    virtual = certificate(tmp_path / "v.pem", "Virtual Attestation Root")
    assert tell("init", station.home, "--name", "try", "--trust", tmp_path / "v.pem").code == 0
    own = certificate(tmp_path / "own.pem", "Own Root")
    said = station.tell("trust", "import", tmp_path / "own.pem", "--fingerprint", own)
    assert said.code == 2
    assert "trusts virtual tokens" in said.err
    listed = station.tell("trust", "list").out
    assert virtual in listed
    assert own not in listed


def test_both_kinds_are_found_and_not_gone_by(tmp_path: Path) -> None:
    """Put beside each other by hand, both are told of, and no other command works in that home."""
    virtual = certificate(tmp_path / "v.pem", "Virtual Attestation Root")
    own = certificate(tmp_path / "own.pem", "Own Root")
    for first, second in (("v.pem", "own.pem"), ("own.pem", "v.pem")):
        station = Station(home=tmp_path / first.removesuffix(".pem"))
        made = tell("init", station.home, "--name", "try", "--trust", tmp_path / first)
        assert made.code == 0, made.err
        assert station.tell("trust", "check").code == 0
        (station.home / "trust" / "99.pem").write_bytes((tmp_path / second).read_bytes())
        said = station.tell("trust", "check", "--json")
        assert said.code == 6
        assert {one["fingerprint"]: one["what"] for one in said.document["findings"]} == {
            own: "a real root beside virtual ones",
            virtual: "a virtual root beside real ones",
        }
        said = station.tell("trust", "list")
        assert (said.code, "beside virtual ones" in said.err) == (2, True), said.err
    said = tell(
        *("init", tmp_path / "both", "--name", "both"),
        *("--trust", tmp_path / "v.pem", "--trust", tmp_path / "own.pem"),
    )
    assert (said.code, "beside virtual ones" in said.err) == (2, True), said.err
    assert not (tmp_path / "both").exists()


def test_a_virtual_root_beside_a_real_token_is_found(tmp_path: Path) -> None:
    """Where a maker vouched for a token, a virtual root in the folder is told of with the entry."""
    station = fresh(tmp_path)
    home = Home.open(station.home)
    with home.working():
        for number, grade in ((1, "asserted"), (3, "attested")):
            entry = issued(number, station="bench", time=home.manifest.latest())
            entry["token"] |= {"grade": grade}
            home.manifest.append(entry, blobs(number), opening(number))
    virtual = certificate(station.home / "trust" / "v.pem", "Virtual Attestation Root")
    said = station.tell("trust", "check", "--json")
    (found,) = said.document["findings"]
    assert (said.code, found["fingerprint"]) == (6, virtual)
    assert found["what"] == "a virtual root, and entry 2 issued a real token"
