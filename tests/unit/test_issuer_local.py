"""The local authority: it issues once, revokes what is superseded, and guards its key."""

from __future__ import annotations

import os
import subprocess
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import tokenprov.issuer.ca.issued
from tests.certificate_requests import (
    NOW,
    openssl,
    p256,
    request_for,
)
from tokenprov.errors import DurabilityError, IssuerError, StationError
from tokenprov.issuer import LocalCa


@pytest.fixture
def ca(tmp_path: Path) -> LocalCa:
    """A new authority."""
    return LocalCa.create(tmp_path / "ca", "Example Test CA", NOW)


def test_asking_again_gets_the_same_certificate(ca: LocalCa, tmp_path: Path) -> None:
    """Also another day, after a restart, and by `find`: it was issued once."""
    key = p256()
    assert ca.find("ab12cd34-0007/9a") is None
    first = ca.issue(request_for(key), NOW)
    again = LocalCa.open(tmp_path / "ca")
    assert again.issue(request_for(key), NOW + timedelta(days=2)) == first
    assert again.find("ab12cd34-0007/9a") == first
    assert again.revoked() == []
    assert [p.name for p in (tmp_path / "ca" / "requests").iterdir()] == ["ab12cd34-0007%2F9a.json"]


def test_another_key_supersedes(ca: LocalCa, tmp_path: Path) -> None:
    """A new key under the same name revokes the former certificate, on the disk too."""
    first = ca.issue(request_for(p256()), NOW)
    later = NOW + timedelta(hours=1)
    key = p256()
    second = ca.issue(request_for(key), later)
    assert second.serial_hex != first.serial_hex
    again = LocalCa.open(tmp_path / "ca")
    assert again.find("ab12cd34-0007/9a") == second
    assert again.issue(request_for(key), later) == second
    (revoked,) = again.revoked()
    assert revoked.serial_hex == first.serial_hex
    assert revoked.revocation is not None
    assert (revoked.revocation.at, revoked.revocation.reason) == (
        later,
        x509.ReasonFlags.superseded,
    )


def test_a_superseded_key_does_not_come_back_silently(ca: LocalCa) -> None:
    """Asked for the former key once more, it issues anew and revokes what was in between."""
    key = p256()
    first = ca.issue(request_for(key), NOW)
    second = ca.issue(request_for(p256()), NOW)
    third = ca.issue(request_for(key), NOW)
    assert {one.serial_hex for one in ca.revoked()} == {first.serial_hex, second.serial_hex}
    assert ca.find("ab12cd34-0007/9a") == third


def test_nothing_is_handed_out_that_is_not_recorded(
    ca: LocalCa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk refuses, no certificate leaves; afterwards one is issued, once."""

    def full(path: Path, data: bytes, mode: int = 0o644) -> None:
        raise DurabilityError("the disk is full", remedy="Free some space.")

    key = p256()
    with monkeypatch.context() as patched:
        patched.setattr(tokenprov.issuer.ca.issued, "create_durable", full)
        with pytest.raises(DurabilityError):
            ca.issue(request_for(key), NOW)
    assert ca.find("ab12cd34-0007/9a") is None
    assert ca.issue(request_for(key), NOW) == ca.find("ab12cd34-0007/9a")


def test_threads_asking_at_once_get_one_certificate(ca: LocalCa) -> None:
    """Eight threads with the same request receive the same bytes."""
    key, given = p256(), list[bytes]()
    threads = [
        threading.Thread(target=lambda: given.append(ca.issue(request_for(key), NOW).der))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 8
    assert len(set(given)) == 1


def test_processes_asking_at_once_get_one_certificate(ca: LocalCa, tmp_path: Path) -> None:
    """Each opens the folder for itself, as processes do: the same bytes, and one number a list."""
    key, given, numbers = p256(), list[bytes](), list[bytes]()

    def ask() -> None:
        mine = LocalCa.open(tmp_path / "ca")
        given.append(mine.issue(request_for(key), NOW).der)
        numbers.append(mine.publish(NOW, whole=True).whole)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 8
    assert len(set(given)) == 1
    assert len(set(numbers)) == 8


def test_openssl_reads_the_crl(ca: LocalCa, tmp_path: Path) -> None:
    """OpenSSL verifies the list, finds both reasons in it, and refuses the revoked certificate."""
    first = ca.issue(request_for(p256()), NOW)
    second = ca.issue(request_for(p256()), NOW)
    ca.revoke(second.serial_hex, x509.ReasonFlags.key_compromise, NOW)
    ca.revoke(second.serial_hex, x509.ReasonFlags.superseded, NOW)  # changes nothing
    good = ca.issue(request_for(p256(), request_id="ab12cd34-0008/9a"), NOW)
    crl = tmp_path / "crl.pem"
    crl.write_text(openssl("crl", "-inform", "DER", given=ca.publish(NOW, whole=True).whole))
    root = tmp_path / "ca" / "ca.pem"
    text = openssl("crl", "-in", crl, "-noout", "-text", "-CAfile", root)
    assert text.count("Serial Number:") == 2
    assert "Superseded" in text
    assert "Key Compromise" in text
    at = ["-attime", str(int(NOW.timestamp()))]
    for issued, accepted in ((first, False), (second, False), (good, True)):
        leaf = tmp_path / "leaf.pem"
        leaf.write_bytes(x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.PEM))
        command = ["openssl", "verify", "-crl_check", *at, "-CAfile", str(root)]
        command += ["-CRLfile", str(crl), str(leaf)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode == 0) is accepted, ran.stderr
        assert accepted or "certificate revoked" in ran.stderr


def test_a_revoked_certificate_is_not_given_again(ca: LocalCa) -> None:
    """After a revocation the same key is refused and `find` finds nothing."""
    key = p256()
    issued = ca.issue(request_for(key), NOW)
    ca.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, NOW)
    assert ca.find("ab12cd34-0007/9a") is None
    with pytest.raises(IssuerError, match=r"revoked \(keyCompromise\)"):
        ca.issue(request_for(key), NOW)
    with pytest.raises(IssuerError, match="issued no certificate"):
        ca.revoke("1234", x509.ReasonFlags.key_compromise, NOW)


def test_the_key_is_for_its_owner_only(ca: LocalCa, tmp_path: Path) -> None:
    """The key file has mode 0600, and one that others can read is refused."""
    key = tmp_path / "ca" / "ca.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")  # PKCS#8
    key.chmod(0o640)
    with pytest.raises(StationError, match="can be read by others"):
        LocalCa.open(tmp_path / "ca")


def test_an_authority_is_made_once_and_finished_if_cut_off(tmp_path: Path) -> None:
    """A whole one is not replaced; one without its certificate is finished with its key."""
    folder = tmp_path / "ca"
    LocalCa.create(folder, "Example Test CA", NOW)
    with pytest.raises(StationError, match="holds an authority already"):
        LocalCa.create(folder, "Example Test CA", NOW)
    key = (folder / "ca.key").read_bytes()
    (folder / "ca.pem").unlink()
    with pytest.raises(StationError, match="cannot be read"):
        LocalCa.open(folder)
    LocalCa.create(folder, "Example Test CA", NOW)
    assert (folder / "ca.key").read_bytes() == key
    LocalCa.open(folder)


def test_a_damaged_authority_is_named(ca: LocalCa, tmp_path: Path) -> None:
    """Another key, garbage for a key, and a changed record are each refused by file."""
    folder = tmp_path / "ca"
    ca.issue(request_for(p256()), NOW)
    (record,) = (folder / "requests").iterdir()
    record.write_bytes(record.read_bytes().replace(b'"v":1', b'"v":2'))
    with pytest.raises(StationError, match="is not a record of issued certificates"):
        ca.find("ab12cd34-0007/9a")
    LocalCa.create(tmp_path / "other", "Other", NOW)
    (folder / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(StationError, match="not the certificate of the key"):
        LocalCa.open(folder)
    (folder / "ca.key").write_bytes(os.urandom(20))
    with pytest.raises(StationError, match=r"ca\.key cannot be read"):
        LocalCa.open(folder)


def test_an_authority_past_its_end_issues_nothing(tmp_path: Path) -> None:
    """The clock is named first: it is the usual reason."""
    ca = LocalCa.create(tmp_path / "ca", "Short", NOW, days=1)
    with pytest.raises(IssuerError, match="the authority ended on 2026-11-25"):
        ca.issue(request_for(p256()), NOW + timedelta(days=2))
