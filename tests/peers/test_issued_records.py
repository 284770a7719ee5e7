"""OpenSSL alone judges what a batch leaves behind: certificate, attestation, checkpoint."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issued import Issued, issued_tokens, openssl

# RFC 8410, 4: SubjectPublicKeyInfo of Ed25519 is this, then the 32 bytes of the key
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
ED25519 = b"\x01"  # https://c2sp.org/signed-note, "Ed25519": the type that comes before the key


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issued]:
    """Two issued tokens and a spare one."""
    with issued_tokens(tmp_path_factory.mktemp("records")) as made:
        yield made


def verified(folder: Path) -> bool:
    """Whether OpenSSL takes `sig` as the signature over `body`."""
    command = "openssl pkeyutl -verify -pubin -inkey pub.der -keyform DER -rawin -in body"
    done = subprocess.run(
        [*command.split(), "-sigfile", "sig"], cwd=folder, capture_output=True, check=False
    )
    return done.returncode == 0


def test_the_checkpoint_of_a_batch_by_openssl_alone(issued: Issued, tmp_path: Path) -> None:
    """The signature over the head of the log holds, and no longer after one changed byte."""
    manifest = issued.station.home / "manifest"
    body, _, signatures = (manifest / "checkpoint").read_bytes().partition(b"\n\n")
    body += b"\n"
    origin, size, _root = body.decode().splitlines()
    assert (origin, int(size)) == ("bench", 1 + len(issued.entries))
    dash, name, signature = signatures.decode().split()
    assert (dash, name) == ("\N{EM DASH}", origin)
    _, _, key = (manifest / "manifest.vkey").read_text().strip().split("+", 2)
    kind, public = (raw := base64.b64decode(key))[:1], raw[1:]
    assert kind == ED25519
    (tmp_path / "pub.der").write_bytes(ED25519_SPKI + public)
    (tmp_path / "sig").write_bytes(base64.b64decode(signature)[4:])
    (tmp_path / "body").write_bytes(body)
    assert verified(tmp_path)
    (tmp_path / "body").write_bytes(body.replace(b"bench", b"bencH"))
    assert not verified(tmp_path)


def test_the_certificate_under_the_stations_authority(issued: Issued) -> None:
    """`openssl verify` takes each certificate under the station's CA, for client logins."""
    authority = str(issued.station.home / "ca" / "ca.pem")
    for serial in issued.serials:
        name = issued.write("certificate.der", issued.evidence(serial, "certificate"))
        verify = ("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", authority, name)
        said = openssl(*verify, folder=issued.station.home.parent)
        assert said.strip() == f"{name}: OK"


def test_the_names_in_the_certificate(issued: Issued) -> None:
    """OpenSSL prints holder, mail, UPN and the usages for Windows logon."""
    for serial in issued.serials:
        name = issued.write("certificate.der", issued.evidence(serial, "certificate"))
        text = openssl(
            *("x509", "-in", name, "-noout", "-text", "-nameopt", "utf8"),
            folder=issued.station.home.parent,
        )
        holder = issued.entry(serial)["holder"]
        assert f"Subject: CN={holder['name']}\n" in text
        assert f"UPN::{holder['upn']}" in text
        assert f"email:{holder['email']}" in text
        assert "TLS Web Client Authentication, Microsoft Smartcard Login" in text
        facts = issued.facts(serial, "piv/9a/certificate")
        assert hashlib.sha256(issued.evidence(serial, "certificate")).hexdigest() == facts["sha256"]


def test_the_attestation_of_the_manifest(issued: Issued) -> None:
    """The statement that was kept verifies under the virtual root, and under no other."""
    home = issued.station.home
    for serial in issued.serials:
        statement = issued.write("statement.der", issued.evidence(serial, "piv-attestation"))
        device = issued.write("f9.der", issued.evidence(serial, "piv-attestation-device"))
        f9 = openssl("x509", "-in", device, folder=home.parent)
        between = (home / "trust" / "01-chain.pem").read_text() + f9
        issued.write("between.pem", between.encode())
        verify = ["openssl", "verify", "-untrusted", "between.pem", "-CAfile"]
        root = str(home / "trust" / "00-root.pem")
        assert issued.run(*verify, root, statement).strip() == f"{statement}: OK"
        issued.run(*verify, str(home / "ca" / "ca.pem"), statement, code=2)
        assert issued.entry(serial)["token"]["virtual"] is True


def test_the_command_counts_what_it_did(issued: Issued) -> None:
    """Its report names the same serials and holders as the manifest, and the spare is untouched."""
    report = issued.said.document
    assert report["counts"] == {"open": 0, "working": 0, "issued": 2, "failed": 0}
    said = {order["serial"]: order["holder"]["name"] for order in report["orders"]}
    assert said == {serial: issued.entry(serial)["holder"]["name"] for serial in issued.serials}
    seen = [event["label"] for event in issued.said.events if event["event"] == "TokenPassedOver"]
    assert set(seen) <= {issued.spare}
