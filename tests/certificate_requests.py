"""Keys, requests for their certificates, and the openssl program; no test is in this module."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from yubikit.management import FORM_FACTOR
from yubikit.piv import PIN_POLICY, TOUCH_POLICY

from tokenprov.attestation import AnchorKind, PivAttestation
from tokenprov.issuer import CertificateRequest, CertificateSettings, Usage
from tokenprov.model import Holder

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
HOLDER = Holder(
    id="e1001", name="Zoë Åkesson", email="zoe@example.test", upn="zoë.åkesson@corp.example.test"
)
SETTINGS = CertificateSettings(
    days=365,
    subject="Zoë Åkesson",
    upn=True,
    email=True,
    usages=(Usage.CLIENT_AUTH, Usage.SMARTCARD_LOGON),
)

Key = Any  # a private key of any kind


def spki(key: Key) -> bytes:
    """The public half, DER."""
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def csr_of(key: Key) -> bytes:
    """A PKCS#10 request signed with that key, DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")])
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def attested(key: Key, serial: int | None = 12345678) -> PivAttestation:
    """An attestation of that key, as it comes out of its verification."""
    return PivAttestation(
        slot="9a",
        public_key=spki(key),
        firmware=(5, 7, 4),
        serial=serial,
        pin_policy=PIN_POLICY.ONCE,
        touch_policy=TOUCH_POLICY.CACHED,
        form_factor=FORM_FACTOR.USB_A_KEYCHAIN,
        fips=False,
        generated=True,
        chain=(),
        anchor_fingerprint="00" * 32,
        anchor_kind=AnchorKind.VIRTUAL,
    )


def request_for(key: Key, **changes: Any) -> CertificateRequest:
    """A good request for that key, with changes."""
    request = CertificateRequest(
        request_id="ab12cd34-0007/9a",
        holder=HOLDER,
        public_key=spki(key),
        csr=None,
        attestation=attested(key),
        token_serial="12345678",
        settings=SETTINGS,
    )
    return replace(request, **changes)


def p256() -> ec.EllipticCurvePrivateKey:
    """A new key."""
    return ec.generate_private_key(ec.SECP256R1())


def openssl(*arguments: str | Path, given: bytes = b"") -> str:
    """What the openssl program says; it must succeed."""
    ran = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode()
