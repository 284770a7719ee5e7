"""The virtual authorities: their shape, their names, how they are kept and shared."""

import multiprocessing
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.sim.attestation import VirtualRoots

AAGUID = bytes.fromhex("a25342c03cdc44148e46f4807fca511c")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the authorities of one bench."""
    folder = tmp_path_factory.mktemp("bench") / "roots"
    VirtualRoots.in_folder(folder)
    return folder


def openssl_verify(folder: Path, certificate: bytes, *between: bytes) -> str:
    """What OpenSSL says of a DER certificate under the roots kept in `folder`."""
    leaf = folder.parent / "leaf.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM))
    untrusted = folder.parent / "untrusted.pem"
    untrusted.write_bytes((folder / "chain.pem").read_bytes() + b"".join(between))
    return subprocess.run(
        ["openssl", "verify", "-CAfile", folder / "root.pem", "-untrusted", untrusted, leaf],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()


@pytest.mark.parametrize("version", [(4, 3, 7), (5, 4, 3), (5, 7, 4)])
def test_openssl_accepts_f9_under_the_kept_roots(kept: Path, version: tuple[int, int, int]) -> None:
    """OpenSSL builds the chain from an f9 certificate to a root in the bench's folder."""
    roots = VirtualRoots.in_folder(kept)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    f9 = roots.certify_f9(key, version=version, fips=False, random=lambda size: bytes(size))
    assert openssl_verify(kept, f9.public_bytes(Encoding.DER)).endswith("leaf.pem: OK")


@pytest.mark.parametrize("version", [(5, 4, 3), (5, 7, 4)])
def test_openssl_accepts_fido_attestation(kept: Path, version: tuple[int, int, int]) -> None:
    """OpenSSL builds the chain from a FIDO attestation certificate, and the key belongs to it."""
    key, x5c = VirtualRoots.in_folder(kept).fido_attestation(AAGUID, 7, version=version)
    assert openssl_verify(kept, x5c[0]).endswith("leaf.pem: OK")
    leaf = x509.load_der_x509_certificate(x5c[0])
    assert leaf.public_key() == key.public_key()


def test_other_benches_do_not_trust_it(kept: Path) -> None:
    """The certificates of one bench do not verify under the roots of another."""
    _, x5c = VirtualRoots.create().fido_attestation(AAGUID, None)
    assert not openssl_verify(kept, x5c[0]).endswith("OK")


def test_roots_say_that_they_are_virtual(kept: Path) -> None:
    """Every self-signed certificate of the bench names itself a test root, not for real tokens."""
    roots = x509.load_pem_x509_certificates((kept / "root.pem").read_bytes())
    assert len(roots) == 4
    for root in roots:
        assert "Virtual" in root.subject.rfc4514_string()
        assert "TEST ROOT - not for real tokens" in root.subject.rfc4514_string()


def test_fido_certificate_carries_aaguid_and_serial_only_when_asked(kept: Path) -> None:
    """The AAGUID is an OCTET STRING inside its extension; the serial is there only when given."""
    roots = VirtualRoots.in_folder(kept)
    for serial in (None, 12345678):
        leaf = x509.load_der_x509_certificate(roots.fido_attestation(AAGUID, serial)[1][0])
        values = {
            extension.oid.dotted_string: extension.value.value
            for extension in leaf.extensions
            if isinstance(extension.value, x509.UnrecognizedExtension)
        }
        assert values["1.3.6.1.4.1.45724.1.1.4"] == b"\x04\x10" + AAGUID
        expected = None if serial is None else b"\x04\x04" + serial.to_bytes(4)
        assert values.get("1.3.6.1.4.1.45724.1.1.2") == expected


def _fingerprint(folder: str) -> bytes:
    return VirtualRoots.in_folder(Path(folder)).root_pem


def test_processes_that_start_together_share_one_hierarchy(tmp_path: Path) -> None:
    """Two processes that ask for the same new folder at once get the same authorities."""
    folder = str(tmp_path / "roots")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        first, second = pool.map(_fingerprint, [folder, folder], chunksize=1)
    assert first == second == (tmp_path / "roots" / "root.pem").read_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / "roots"]


def test_keys_are_for_their_owner_only(kept: Path) -> None:
    """The folder with the authorities' keys is closed to others."""
    assert kept.stat().st_mode & 0o077 == 0
