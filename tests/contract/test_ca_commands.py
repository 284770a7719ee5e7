"""`tokenprov ca`: an authority made, used by hand and below a root, as a person does it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificate_requests import openssl
from tests.stations import Station, tell


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    """A station without tokens; all tests share it and use authorities of their own."""
    home = tmp_path_factory.mktemp("ca") / "station"
    assert tell("init", home, "--name", "bench-1").code == 0
    return Station(home=home)


@pytest.fixture
def csr(tmp_path: Path) -> Path:
    """A request that somebody brings, for a key of their own."""
    openssl(
        *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", tmp_path / "own.key", "-subj", "/CN=whatever", "-out", tmp_path / "own.csr"),
    )
    return tmp_path / "own.csr"


ADA = ("--id", "1001", "--name", "Ada Okonkwo", "--usage", "client-auth")


def test_issue_revoke_release_and_publish(station: Station, csr: Path, tmp_path: Path) -> None:
    """OpenSSL takes what was issued, refuses it on hold, and takes it again once released."""
    name = ("--authority", "desk")
    said = station.tell(
        *("ca", "init", "desk", "--common-name", "Desk CA"),
        *("--url", "http://ca.example.test/desk"),
    )
    assert said.code == 0, said.err
    issued = station.tell("ca", "issue", csr, *ADA, *name)
    assert issued.code == 0, issued.err
    assert station.tell("ca", "issue", csr, *ADA, *name).out == issued.out
    leaf, root = x509.load_pem_x509_certificates(issued.out.encode())
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    serial = f"{leaf.serial_number:x}"
    (row,) = station.tell("ca", "list", *name, "--json").document
    assert (row["serial"], row["subject"], row["revoked"]) == (serial, "CN=Ada Okonkwo", None)

    def taken() -> bool:
        assert station.tell("ca", "crl", *name, "--out", tmp_path / "crl.der").code == 0
        (tmp_path / "crl.pem").write_text(
            openssl("crl", "-inform", "DER", "-in", tmp_path / "crl.der")
        )
        store = ["-CAfile", station.home / "authorities/desk/ca.pem"]
        command = ["openssl", "verify", "-crl_check", *store, "-CRLfile", tmp_path / "crl.pem"]
        ran = subprocess.run([*command, tmp_path / "leaf.pem"], capture_output=True, check=False)
        return ran.returncode == 0

    assert taken()
    colons = ":".join(serial.zfill(40)[i : i + 2] for i in range(0, 40, 2)).upper()
    held = station.tell("ca", "revoke", colons, "--reason", "certificateHold", *name)
    assert f"{serial} is revoked (certificateHold)" in held.err
    assert not taken()
    delta = station.tell("ca", "release", serial, *name)
    assert f"{serial} is good" in delta.err
    assert taken()
    for reason in ("keyCompromise", "superseded"):
        assert station.tell("ca", "revoke", serial, "--reason", reason, *name).code == 0
    assert station.tell("ca", "release", serial, *name).code == 5
    (row,) = station.tell("ca", "list", "--revoked", *name, "--json").document
    assert row["revoked"]["reason"] == "keyCompromise"
    assert root.subject.rfc4514_string() == "CN=Desk CA"


def test_a_root_and_what_it_signs(station: Station, csr: Path, tmp_path: Path) -> None:
    """Two authorities of two files: the one below issues, and what it issues verifies."""
    make_root = ("ca", "init", "root", "--common-name", "Example Root", "--signs-authorities")
    assert station.tell(*make_root, "--key", "p384").code == 0
    below = ("--authority", "below")
    asked = tmp_path / "below.csr"
    make = ("ca", "init", "below", "--common-name", "Below CA", "--csr-out", asked)
    assert station.tell(*make).code == 0
    assert station.tell("ca", "issue", csr, *ADA, *below).code == 3  # it is not signed yet
    signed = station.tell("ca", "sign-authority", asked, "--authority", "root")
    assert signed.code == 0, signed.err
    (tmp_path / "signed.pem").write_text(signed.out)
    root = station.home / "authorities/root/ca.pem"
    assert station.tell("ca", "import", "below", tmp_path / "signed.pem", root).code == 0
    issued = station.tell("ca", "issue", csr, *ADA, *below)
    assert issued.out.count("BEGIN CERTIFICATE") == 3
    (tmp_path / "chain.pem").write_text(issued.out)
    openssl(
        *("verify", "-x509_strict", "-CAfile", root, "-untrusted", tmp_path / "signed.pem"),
        tmp_path / "chain.pem",
    )
    refused = station.tell("ca", "sign-authority", asked, *below)
    assert refused.code == 2
    assert "issues to holders" in refused.err


def test_a_request_that_is_none(station: Station, tmp_path: Path) -> None:
    """Neither text nor a key of a kind that nobody here knows is certified, or breaks anything."""
    openssl("genpkey", "-algorithm", "SM2", "-out", tmp_path / "own.key")
    openssl("req", "-new", "-key", tmp_path / "own.key", "-subj", "/CN=x", "-out", tmp_path / "sm2")
    (tmp_path / "text").write_text("please")
    for name, said in (("text", "holds no request"), ("sm2", "of a kind that is not known")):
        told = station.tell("ca", "issue", tmp_path / name, *ADA)
        assert told.code == 2
        assert said in told.err


def test_a_demand_for_attestation(station: Station, csr: Path) -> None:
    """An authority for attested keys issues nothing by a signature alone."""
    init = ("ca", "init", "strict", "--common-name", "Strict CA", "--attestation")
    assert station.tell(*init).code == 0
    said = station.tell("ca", "issue", csr, *ADA, "--authority", "strict")
    assert said.code == 5
    assert "has no attestation, which this authority demands" in said.err


def test_what_is_wrong_is_said_before_anything_is_made(station: Station, tmp_path: Path) -> None:
    """A URL, a name, a second making, a file, a serial number: each with its exit code."""
    make = ("ca", "init", "wrong", "--common-name", "Wrong")
    assert station.tell(*make, "--url", "https://ca.example.test").code == 3
    assert not (station.home / "authorities/wrong").exists()
    assert station.tell("ca", "init", "../wrong", "--common-name", "Wrong").code == 5
    assert station.tell(*make).code == 0
    assert station.tell(*make).code == 3
    (tmp_path / "not.pem").write_text("nothing")
    assert station.tell("ca", "issue", tmp_path / "not.pem", *ADA).code == 2
    assert station.tell("ca", "import", "wrong", tmp_path / "not.pem").code == 2
    assert station.tell("ca", "revoke", "xyz", "--reason", "superseded").code == 2
    assert station.tell("ca", "revoke", "1234", "--reason", "superseded").code == 5
    assert station.tell("ca", "list", "--authority", "nobody").code == 3


def test_serve_ocsp_answers_until_it_is_ended(station: Station, csr: Path, tmp_path: Path) -> None:
    """A program of its own: it says where it is, answers, and ends at a signal."""
    issued = station.tell("ca", "issue", csr, *ADA)
    (tmp_path / "chain.pem").write_text(issued.out)
    command = [sys.executable, "-m", "tokenprov", "--home", str(station.home)]
    command += ["ca", "serve-ocsp", "--listen", "127.0.0.1:0"]
    serving = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert serving.stderr is not None
        address = serving.stderr.readline().split()[2].rstrip(";")
        ca = station.home / "ca" / "ca.pem"
        ask = ["openssl", "ocsp", "-issuer", ca, "-cert", tmp_path / "chain.pem", "-CAfile", ca]
        ask += ["-url", address, "-timeout", "20"]
        asked = subprocess.run(ask, capture_output=True, text=True, check=False)
        assert "good" in asked.stdout, asked.stderr
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(20) == 0
    finally:
        serving.kill()
        serving.wait()
