"""OpenSSH and OpenSSL with a key of a virtual token's PIV application, through OpenSC's module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    load_ssh_public_identity,
)
from yubikit.piv import KEY_TYPE, SLOT

from tests.piv_peers import PIN, SERIAL, Peers, prepare
from tokenprov.sim.bench import VirtualBench


@pytest.fixture(scope="module")
def one() -> Iterator[VirtualBench]:
    """A private pcscd with one reader."""
    with VirtualBench(tokens=1) as bench:
        yield bench


@pytest.fixture(scope="module")
def module() -> str:
    """Where OpenSC's PKCS#11 module is."""
    return str(next(Path("/usr/lib").glob("*/opensc-pkcs11.so")))


@pytest.fixture
def peers(one: VirtualBench, tmp_path: Path) -> Peers:
    """A YubiKey with a P-256 key and its certificate in 9a."""
    peers = Peers(bench=one, folder=tmp_path)
    one.control.replace(0, model="yubikey-5.7.4", serial=SERIAL)
    token, session = prepare("yubikey-5.7.4", SERIAL)
    key = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "9a.pub").write_bytes(pem)
    certificate = (tmp_path / peers.certify("9a.pub", "nine-a")).read_bytes()
    session.put_certificate(SLOT.AUTHENTICATION, x509.load_pem_x509_certificate(certificate))
    peers.put(token)
    return peers


def test_openssh(peers: Peers, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh-keygen lists the token's key and makes a certificate with it, whose signature is good."""
    listed = peers.run("ssh-keygen", "-D", module)
    found = re.search(r"^ecdsa-sha2-nistp256 \S+", listed, re.MULTILINE)
    assert found is not None, listed
    (peers.folder / "authority.pub").write_text(found[0] + "\n")
    askpass = peers.folder / "askpass"
    askpass.write_text(f"#!/bin/sh\necho {PIN}\n")
    askpass.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(askpass))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    peers.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "user")
    sign = ("ssh-keygen", "-D", module, "-s", "authority.pub", "-I", "jane", "-n", "jane")
    assert "Signed user key" in peers.run(*sign, "user.pub")
    certificate = load_ssh_public_identity((peers.folder / "user-cert.pub").read_bytes())
    assert isinstance(certificate, SSHCertificate)
    certificate.verify_cert_signature()
    authority = certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert authority.decode() == found[0]


def test_openssl(peers: Peers, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL signs with the token's key through its PKCS#11 engine, and verifies without it."""
    monkeypatch.setenv("PKCS11_MODULE_PATH", module)
    (peers.folder / "pin").write_text(PIN)
    (peers.folder / "message").write_text("a message")
    uri = f"pkcs11:id=%01;type=private?pin-source=file:{peers.folder}/pin"
    engine = ("openssl", "dgst", "-engine", "pkcs11", "-keyform", "engine", "-sha256")
    peers.run(*engine, "-sign", uri, "-out", "signature", "message")
    verify = ("openssl", "dgst", "-sha256", "-verify", "9a.pub", "-signature", "signature")
    assert "Verified OK" in peers.run(*verify, "message")
