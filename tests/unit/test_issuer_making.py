"""Authorities of every kind of key, and one below an offline root that OpenSSL keeps."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.certificate_requests import NOW, openssl, p256, request_for
from tokenprov.errors import InputError, StationError
from tokenprov.issuer import LocalCa, choose_issuer
from tokenprov.issuer.ca.folder import CaFolder
from tokenprov.issuer.ca.keys import KeyKind
from tokenprov.issuer.ca.making import make_request, make_root, take_in

ROOT = """
[ca]
basicConstraints = critical,CA:TRUE,pathlen:1
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[sub]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[holder]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
"""


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.RSA3072, KeyKind.ED25519])
def test_every_kind_of_key_signs_all_that_it_should(kind: KeyKind, tmp_path: Path) -> None:
    """Certificate and list verify in OpenSSL, strictly, with the digest that fits the key."""
    folder = CaFolder(path=tmp_path / "ca")
    make_root(folder, "Example CA", NOW, days=365, random=os.urandom, kind=kind)
    ca = LocalCa.open(folder.path)
    issued = ca.issue(request_for(p256()), NOW)
    leaf = pem_of(issued.der, tmp_path / "leaf.pem")
    crl = tmp_path / "crl.pem"
    crl.write_text(openssl("crl", "-inform", "DER", given=ca.publish(NOW, whole=True).whole))
    at = ["-attime", str(int(NOW.timestamp()))]
    store = ["-CAfile", folder.certificate, "-CRLfile", crl]
    openssl("verify", "-x509_strict", "-crl_check", *at, *store, leaf)
    algorithm = x509.load_der_x509_certificate(issued.der).signature_hash_algorithm
    assert (algorithm.name if algorithm else None) == {
        KeyKind.P384: "sha384",
        KeyKind.ED25519: None,
    }.get(kind, "sha256")


def pem_of(der: bytes, path: Path) -> Path:
    """The certificate in a file."""
    path.write_text(openssl("x509", "-inform", "DER", given=der))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which OpenSSL keeps a root, and signs what it is given as `sub` or `holder`."""
    folder = tmp_path_factory.mktemp("root")
    (folder / "root.cnf").write_text(ROOT)
    openssl("genpkey", "-algorithm", "ED25519", "-out", folder / "root.key")
    openssl(
        *("req", "-new", "-subj", "/CN=Offline Root", "-key", folder / "root.key"),
        *("-out", folder / "root.csr"),
    )
    openssl(
        *("x509", "-req", "-in", folder / "root.csr", "-signkey", folder / "root.key"),
        *("-days", "3650", "-extfile", folder / "root.cnf", "-extensions", "ca"),
        *("-out", folder / "root.pem"),
    )
    return folder


def signed(root: Path, csr: bytes, extensions: str, days: int = 1000) -> list[x509.Certificate]:
    """What the root makes of a request, and the root."""
    leaf = openssl(
        *("x509", "-req", "-CA", root / "root.pem", "-CAkey", root / "root.key", "-days"),
        *(str(days), "-extfile", root / "root.cnf", "-extensions", extensions),
        given=csr,
    )
    return x509.load_pem_x509_certificates(leaf.encode() + (root / "root.pem").read_bytes())


def test_an_offline_root_signs_it(root: Path, tmp_path: Path) -> None:
    """Out goes a request, in comes a certificate; what it then issues verifies up to the root."""
    folder = CaFolder(path=tmp_path / "authorities" / "issuing")
    csr = make_request(folder, "Issuing CA")
    assert make_request(folder, "Issuing CA")  # the same key again
    with pytest.raises(StationError, match="is not signed yet"):
        choose_issuer("local:issuing", tmp_path)
    chain = signed(root, csr, "sub")
    now = chain[0].not_valid_before_utc + timedelta(hours=1)
    take_in(folder, chain, now)
    ca = choose_issuer("local:issuing", tmp_path)
    issued = ca.issue(request_for(p256()), now)
    assert len(issued.chain) == 2
    leaf = pem_of(issued.der, tmp_path / "leaf.pem")
    above = pem_of(issued.chain[0], tmp_path / "above.pem")
    at = ["-attime", str(int(now.timestamp()))]
    store = ["-CAfile", root / "root.pem", "-untrusted", above]
    openssl("verify", "-x509_strict", *at, *store, leaf)
    with pytest.raises(StationError, match="holds an authority already"):
        make_request(folder, "Issuing CA")


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A certificate that is not taken in, and what is said."""

    extensions: str = "sub"
    other_key: bool = False
    chain: tuple[int, ...] = (0, 1)  # of the certificate and its root
    later: timedelta = timedelta(hours=1)
    said: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong(extensions="holder", said="may not sign certificates"),
        Wrong(other_key=True, said="is for another key"),
        Wrong(chain=(0,), said="does not end the chain"),
        Wrong(chain=(), said="no certificate in it"),
        Wrong(chain=(1, 0), said="is for another key"),
        Wrong(later=timedelta(days=1001), said="not in force"),
    ],
    ids=lambda wrong: wrong.said,
)
def test_what_is_not_its_certificate_is_not_taken_in(
    root: Path, tmp_path: Path, wrong: Wrong
) -> None:
    """The authority then is as it was, and takes the right one."""
    folder = CaFolder(path=tmp_path / "ca")
    csr = make_request(folder, "Issuing CA")
    asked = make_request(CaFolder(path=tmp_path / "other"), "Other") if wrong.other_key else csr
    both = signed(root, asked, wrong.extensions)
    chain = [both[index] for index in wrong.chain]
    now = x509.load_pem_x509_certificate((root / "root.pem").read_bytes()).not_valid_before_utc
    with pytest.raises(InputError, match=wrong.said):
        take_in(folder, chain, now + wrong.later)
    take_in(folder, signed(root, csr, "sub"), now + timedelta(hours=1))
    LocalCa.open(folder.path)


def test_a_chain_that_does_not_hold_together(root: Path, tmp_path: Path) -> None:
    """The root is another one of the same name: no signature of its own is on the certificate."""
    folder = CaFolder(path=tmp_path / "ca")
    csr = make_request(folder, "Issuing CA")
    (own, _) = signed(root, csr, "sub")
    stranger = LocalCa.create(tmp_path / "stranger", "Offline Root", NOW).certificate
    now = own.not_valid_before_utc + timedelta(hours=1)
    with pytest.raises(InputError, match="is not signed by CN=Offline Root"):
        take_in(folder, [own, stranger], now)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("crl-url = 7", "crl-url"),
        ('crl-url = "https://x/"', "crl-url"),  # RFC 5280, 8: a list behind TLS may need itself
        ("surprise = true", "surprise"),
        ('attestation = "perhaps"', "attestation"),
        ("whole-list-days = 0", "whole-list-days"),
        ("backdate-minutes = -1", "backdate-minutes"),
        ("crl-url = ", "Invalid value"),
    ],
)
def test_settings_that_are_wrong_are_named(tmp_path: Path, text: str, said: str) -> None:
    """The error names the file and the key, and the authority stays shut."""
    LocalCa.create(tmp_path / "ca", "Example CA", NOW)
    (tmp_path / "ca" / "ca.toml").write_text(text)
    with pytest.raises(StationError, match=said) as raised:
        LocalCa.open(tmp_path / "ca")
    assert "ca.toml" in raised.value.message
