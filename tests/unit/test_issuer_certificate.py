"""What stands in a certificate, judged by OpenSSL and by rule."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from tests.certificate_requests import (
    HOLDER,
    LATER,
    NOW,
    SETTINGS,
    Key,
    attested,
    csr_of,
    openssl,
    p256,
    request_for,
)
from tokenprov.issuer import CertificateSettings, LocalCa, Usage


@pytest.fixture
def ca(tmp_path: Path) -> LocalCa:
    """A new authority."""
    return LocalCa.create(tmp_path / "ca", "Example Test CA", NOW)


def test_openssl_reads_what_windows_logon_needs(ca: LocalCa) -> None:
    """The text of a certificate shows names, usages, key identifiers and constraints."""
    issued = ca.issue(request_for(p256()), NOW)
    text = openssl(
        "x509", "-inform", "DER", "-noout", "-text", "-nameopt", "utf8", given=issued.der
    )
    assert "Subject: CN=Zoë Åkesson" in text.replace(" = ", "=")
    assert "Issuer: CN=Example Test CA" in text.replace(" = ", "=")
    assert "email:zoe@example.test" in text
    assert "othername: UPN::" in text
    assert "TLS Web Client Authentication, Microsoft Smartcard Login" in text
    assert "X509v3 Key Usage: critical\n                Digital Signature\n" in text
    assert "X509v3 Basic Constraints: critical\n                CA:FALSE\n" in text
    assert "X509v3 Subject Key Identifier" in text
    assert "X509v3 Authority Key Identifier" in text
    names = x509.load_der_x509_certificate(issued.der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert not names.critical  # RFC 5280, 4.2.1.6: the subject is not empty
    upn = names.value.get_values_for_type(x509.OtherName)[0]
    assert upn.type_id.dotted_string == "1.3.6.1.4.1.311.20.2.3"
    content = HOLDER.upn.encode()
    assert upn.value == b"\x0c" + bytes([len(content)]) + content


def test_openssl_verifies_it_for_clients(ca: LocalCa, tmp_path: Path) -> None:
    """`openssl verify` accepts the certificate strictly, for client authentication only."""
    issued = ca.issue(request_for(p256()), NOW)
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.PEM))
    root = tmp_path / "ca" / "ca.pem"
    assert root.read_bytes() == ca.certificate_pem
    at = ["-attime", str(int(NOW.timestamp()))]
    openssl("verify", "-x509_strict", "-purpose", "sslclient", *at, "-CAfile", root, leaf)
    server = ["openssl", "verify", "-purpose", "sslserver", *at, "-CAfile", str(root), str(leaf)]
    assert subprocess.run(server, capture_output=True, check=False).returncode != 0


def test_it_conforms_to_rfc_5280(ca: LocalCa) -> None:
    """The strict verifier of cryptography accepts the chain and finds the mail address."""
    issued = ca.issue(request_for(p256()), NOW)
    assert issued.chain == (ca.certificate.public_bytes(Encoding.DER),)
    store = verification.Store([x509.load_der_x509_certificate(issued.chain[0])])
    verifier = verification.PolicyBuilder().store(store).time(NOW).build_client_verifier()
    verified = verifier.verify(x509.load_der_x509_certificate(issued.der), [])
    assert verified.subjects is not None
    assert x509.RFC822Name("zoe@example.test") in verified.subjects


def test_serial_numbers_are_random_positive_and_short(ca: LocalCa) -> None:
    """Below 2^159, drawn from the source that is handed in, and a zero is drawn again."""
    drawn = iter([bytes(20), b"\xff" * 20])
    issued = ca.issue(request_for(p256()), NOW, random=lambda length: next(drawn))
    assert int(issued.serial_hex, 16) == 2**159 - 1
    certificate = x509.load_der_x509_certificate(issued.der)
    assert certificate.serial_number == 2**159 - 1


@dataclass(frozen=True, kw_only=True)
class End:
    """What limits a certificate, and when it ends."""

    name: str
    days: int
    last_day: date | None
    ends: datetime


ENDS = [
    End(name="days", days=30, last_day=None, ends=LATER + timedelta(days=30)),
    End(
        name="last day",
        days=365,
        last_day=date(2027, 1, 31),
        ends=datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC),
    ),
    End(
        name="today",
        days=365,
        last_day=NOW.date(),
        ends=datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC),
    ),
    End(name="authority", days=9000, last_day=None, ends=NOW + timedelta(days=3650)),
]


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case.name)
def test_validity_is_backdated_and_capped(ca: LocalCa, case: End) -> None:
    """It starts five minutes ago and ends with the first of days, last day and authority."""
    request = request_for(
        p256(),
        holder=replace(HOLDER, last_day=case.last_day),
        settings=replace(SETTINGS, days=case.days),
    )
    certificate = x509.load_der_x509_certificate(ca.issue(request, LATER).der)
    assert certificate.not_valid_before_utc == LATER - timedelta(minutes=5)
    assert certificate.not_valid_after_utc == case.ends


def test_what_the_profile_does_not_want_is_left_out(ca: LocalCa) -> None:
    """Without mail and UPN there are no alternative names; usages are those asked for."""
    plain = CertificateSettings(days=1, subject="A", usages=(Usage.CLIENT_AUTH,))
    request = request_for(p256(), settings=plain, holder=replace(HOLDER, upn=""))
    certificate = x509.load_der_x509_certificate(ca.issue(request, NOW).der)
    oids = {entry.oid for entry in certificate.extensions}
    assert ExtensionOID.SUBJECT_ALTERNATIVE_NAME not in oids
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_long_upn_is_proper_der(ca: LocalCa) -> None:
    """A UPN beyond 127 bytes has its length in the long form, and OpenSSL reads it."""
    upn = "u" * 200 + "@corp.example.test"
    issued = ca.issue(request_for(p256(), holder=replace(HOLDER, upn=upn)), NOW)
    names = x509.load_der_x509_certificate(issued.der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    value = names.value.get_values_for_type(x509.OtherName)[0].value
    assert upn in openssl("asn1parse", "-inform", "DER", given=value)


PROOFS: dict[str, Callable[[], Key]] = {
    "p256": p256,
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", PROOFS)
def test_a_signed_request_proves_possession(ca: LocalCa, kind: str) -> None:
    """A PKCS#10 request of any kind of key that tokens have is enough."""
    key = PROOFS[kind]()
    issued = ca.issue(request_for(key, csr=csr_of(key), attestation=None), NOW)
    certificate = x509.load_der_x509_certificate(issued.der)
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(ca.certificate)


def test_an_attestation_without_serial_is_enough(ca: LocalCa) -> None:
    """Serials are compared where both sides have one."""
    key = p256()
    ca.issue(request_for(key, attestation=attested(key, serial=None)), NOW)
    other = p256()
    ca.issue(request_for(other, request_id="ab12cd34-0008/9a", token_serial=None), NOW)


@pytest.mark.parametrize("minutes", [0, 90])
def test_an_authority_backdates_as_its_settings_say(tmp_path: Path, minutes: int) -> None:
    """Never to before its own certificate begins."""
    LocalCa.create(tmp_path / "ca", "Example Test CA", NOW)
    (tmp_path / "ca" / "ca.toml").write_text(f"backdate-minutes = {minutes}\n")
    authority = LocalCa.open(tmp_path / "ca")
    late = NOW + timedelta(days=1)
    issued = x509.load_der_x509_certificate(authority.issue(request_for(p256()), late).der)
    assert issued.not_valid_before_utc == late - timedelta(minutes=minutes)
    early = x509.load_der_x509_certificate(authority.issue(request_for(p256()), NOW).der)
    assert early.not_valid_before_utc == max(
        NOW - timedelta(minutes=minutes), authority.certificate.not_valid_before_utc
    )
