"""PIV attestations, real and made for a test; no test is in this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

import tokenprov
from tokenprov.sim.attestation import VirtualRoots

VECTORS = Path(__file__).parent / "vectors" / "yubikey-5.4.3-fips"
TRUST = Path(tokenprov.__file__).parent / "trust"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ARC = "1.3.6.1.4.1.41482.3"
SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def der(path: Path) -> bytes:
    """The DER of a certificate in PEM."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """An attestation to be made under a virtual f9, with what may be wrong in it."""

    firmware: bytes = bytes([5, 7, 4])
    serial: bytes | None = bytes.fromhex("020401b3bef6")  # DER INTEGER 28557046
    policies: bytes | None = bytes([2, 3])
    form_factor: bytes | None = bytes([1])
    subject: str = "YubiKey PIV Attestation 9a"
    digest: type[hashes.SHA256 | hashes.SHA224] = hashes.SHA256
    key: str = "p256"
    extra: Mapping[str, bool] = field(default_factory=dict)  # further extension -> critical
    constraints: x509.BasicConstraints | None = None
    f9: x509.BasicConstraints = field(default_factory=lambda: x509.BasicConstraints(True, 0))
    f9_not_after: datetime = datetime(9999, 12, 31)


def make(roots: VirtualRoots, leaf: Leaf) -> tuple[bytes, bytes]:
    """The attestation and its f9 certificate, DER."""
    device_key = ec.generate_private_key(ec.SECP256R1())
    authority = roots.piv if leaf.firmware >= bytes([5, 7, 4]) else roots.old_piv_root
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Yubico PIV Attestation")])
    device = (
        x509.CertificateBuilder(authority.certificate.subject, name, device_key.public_key(), 7)
        .not_valid_before(datetime(2016, 3, 14))
        .not_valid_after(leaf.f9_not_after)
        .add_extension(leaf.f9, critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    key = (
        rsa.generate_private_key(65537, 2048)
        if leaf.key == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
    ).public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, leaf.subject)])
    builder = x509.CertificateBuilder(name, subject, key, 9)
    builder = builder.not_valid_before(datetime(2016, 3, 14)).not_valid_after(datetime(2052, 4, 17))
    values = {".3": leaf.firmware, ".7": leaf.serial, ".8": leaf.policies, ".9": leaf.form_factor}
    for number, value in values.items():
        if value is not None:
            oid = x509.ObjectIdentifier(ARC + number)
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    for dotted, critical in leaf.extra.items():
        oid = x509.ObjectIdentifier(dotted)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical)
    if leaf.constraints:
        builder = builder.add_extension(leaf.constraints, critical=True)
    certificate = builder.sign(device_key, leaf.digest())
    return certificate.public_bytes(Encoding.DER), device.public_bytes(Encoding.DER)


def real(slot: str) -> tuple[bytes, bytes]:
    """A real token's attestation and f9 certificate, DER."""
    return der(VECTORS / f"attestation-{slot}.crt"), der(VECTORS / "attestation-intermediate.crt")
