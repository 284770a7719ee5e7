"""Trust anchors: the pinned ones, a station's own, and virtual ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.attestation_leaves import ARC, NOW, TRUST, Leaf, make, real
from tokenprov.attestation import AnchorKind, Anchors
from tokenprov.attestation import verify_piv_attestation as verify
from tokenprov.errors import AttestationError, InputError
from tokenprov.sim.attestation import VirtualRoots


@pytest.fixture(scope="module")
def vendor() -> Anchors:
    """The anchors that ship."""
    return Anchors.vendor()


@pytest.fixture(scope="module")
def roots() -> VirtualRoots:
    """A virtual hierarchy of both shapes, as virtual tokens have it."""
    return VirtualRoots.create()


@pytest.fixture(scope="module")
def virtual(vendor: Anchors, roots: VirtualRoots) -> Anchors:
    """The anchors of a station that also knows the virtual roots."""
    return vendor.with_pem(roots.root_pem + roots.chain_pem, where="trust/virtual.pem")


def test_a_root_that_borrows_the_makers_name_is_not_the_maker(vendor: Anchors) -> None:
    """An added root is the station's own whatever it is called, and does not pass for the pin."""
    key = ec.generate_private_key(ec.SECP256R1())
    pinned = x509.load_pem_x509_certificate((TRUST / "yubico-piv-root-263751.pem").read_bytes())
    forged = (
        x509.CertificateBuilder(pinned.subject, pinned.subject, key.public_key(), 5)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, 1), critical=True)
        .sign(key, hashes.SHA256())
    )
    anchors = vendor.with_pem(forged.public_bytes(Encoding.PEM), where="trust/forged.pem")
    assert anchors.anchors[-1].kind is AnchorKind.STATION
    assert verify(*real("9a"), anchors, now=NOW).anchor_kind is AnchorKind.VENDOR


def test_a_virtual_intermediate_taints_a_station_root(vendor: Anchors) -> None:
    """A station root without the mark cannot launder a chain that has it further down."""
    root_key, device_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))

    def certificate(
        subject: str,
        issuer: str,
        public: ec.EllipticCurvePublicKey,
        signer: ec.EllipticCurvePrivateKey,
    ) -> x509.CertificateBuilder:
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (issuer, subject)]
        return (
            x509.CertificateBuilder(names[0], names[1], public, 5)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
        )

    authority = x509.BasicConstraints(True, None)
    root = certificate("Our Root", "Our Root", root_key.public_key(), root_key)
    root_pem = root.add_extension(authority, True).sign(root_key, hashes.SHA256())
    device = certificate("A Virtual Token", "Our Root", device_key.public_key(), root_key)
    f9 = device.add_extension(authority, True).sign(root_key, hashes.SHA256())
    leaf = certificate(
        "YubiKey PIV Attestation 9a", "A Virtual Token", key.public_key(), device_key
    )
    for number, value in {".3": b"\5\7\4", ".8": b"\2\1"}.items():
        oid = x509.ObjectIdentifier(ARC + number)
        leaf = leaf.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    signed = leaf.sign(device_key, hashes.SHA256())
    anchors = vendor.with_pem(root_pem.public_bytes(Encoding.PEM), where="trust/own.pem")
    found = verify(
        signed.public_bytes(Encoding.DER), f9.public_bytes(Encoding.DER), anchors, now=NOW
    )
    assert found.anchor_fingerprint == anchors.anchors[-1].fingerprint
    assert found.virtual


def test_the_shipped_intermediates_lead_to_root_1(tmp_path: Path) -> None:
    """OpenSSL agrees that the maker's new hierarchy hangs together up to Root 1."""
    chain = tmp_path / "chain.pem"
    chain.write_bytes(
        b"".join(p.read_bytes() for p in sorted(TRUST.glob("yubico-attestation-inter*.pem")))
    )
    below = [p for kind in ("piv", "fido") for p in TRUST.glob(f"yubico-{kind}-attestation-*.pem")]
    assert len(below) == 5
    for path in below:
        ran = subprocess.run(
            ["openssl", "verify", "-CAfile", str(TRUST / "yubico-attestation-root-1.pem")]
            + ["-untrusted", str(chain), str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr


def test_openssl_agrees_about_a_virtual_chain(
    roots: VirtualRoots, virtual: Anchors, tmp_path: Path
) -> None:
    """OpenSSL accepts the chain that is accepted here, and refuses the altered leaf."""
    leaf, f9 = make(roots, Leaf())
    assert verify(leaf, f9, virtual, now=NOW).virtual
    (tmp_path / "roots.pem").write_bytes(roots.root_pem)
    device = x509.load_der_x509_certificate(f9).public_bytes(Encoding.PEM)
    (tmp_path / "chain.pem").write_bytes(roots.chain_pem + device)
    (tmp_path / "leaf.pem").write_bytes(
        x509.load_der_x509_certificate(leaf).public_bytes(Encoding.PEM)
    )
    command = ["openssl", "verify", "-CAfile", "roots.pem", "-untrusted", "chain.pem", "leaf.pem"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "chain.pem").write_bytes(roots.chain_pem)
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_station_folder_adds_roots(roots: VirtualRoots, vendor: Anchors, tmp_path: Path) -> None:
    """PEM files of the trust folder become anchors; a missing folder adds none."""
    assert Anchors.load(tmp_path / "absent") == vendor == Anchors.load(None)
    (tmp_path / "bench.pem").write_bytes(roots.root_pem + roots.chain_pem)
    shutil.copy(TRUST / "yubico-attestation-root-1.pem", tmp_path)  # pinned already
    (tmp_path / "notes.txt").write_text("not read")
    loaded = Anchors.load(tmp_path)
    added = [a.kind for a in loaded.anchors[len(vendor.anchors) :]]
    assert added == [AnchorKind.VIRTUAL] * 4
    (tmp_path / "broken.pem").write_bytes(os.urandom(40))
    with pytest.raises(InputError, match=r"broken\.pem: does not hold certificates"):
        Anchors.load(tmp_path)


@pytest.mark.parametrize("change", ["swap", "add", "remove"])
def test_a_changed_installation_is_refused(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pinned root that was swapped, added or removed on disk stops everything."""
    copy = tmp_path / "trust"
    shutil.copytree(TRUST, copy)
    root, other = copy / "yubico-piv-root-263751.pem", copy / "yubico-u2f-root-457200631.pem"
    if change == "swap":
        shutil.copy(other, root)
    elif change == "add":
        shutil.copy(other, copy / "another.pem")
    else:
        root.unlink()
    monkeypatch.setattr("tokenprov.attestation.anchors.files", lambda _: tmp_path)
    with pytest.raises(AttestationError, match="not the pinned ones"):
        Anchors.vendor()
