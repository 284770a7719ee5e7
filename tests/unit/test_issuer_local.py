"""The local authority: what it issues, to whom, and that it never issues twice."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID
from yubikit.management import FORM_FACTOR
from yubikit.piv import PIN_POLICY, TOUCH_POLICY

import tokenprov.issuer.issued
from tokenprov.attestation import AnchorKind, PivAttestation
from tokenprov.errors import DurabilityError, IssuerError, StationError
from tokenprov.issuer import CertificateRequest, CertificateSettings, LocalCa, Usage
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


@pytest.fixture
def ca(tmp_path: Path) -> LocalCa:
    """A new authority."""
    return LocalCa.create(tmp_path / "ca", "Example Test CA", NOW)


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


def flipped(der: bytes) -> bytes:
    """The same with its last byte, in the signature, changed."""
    return der[:-1] + bytes([der[-1] ^ 1])


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that is refused, and words of the reason."""

    name: str
    reason: str
    change: Callable[[ec.EllipticCurvePrivateKey], dict[str, Any]]


REFUSALS = [
    Refusal(name="no proof", reason="proves possession", change=lambda k: {"attestation": None}),
    Refusal(
        name="attestation of another key",
        reason="another key",
        change=lambda k: {"attestation": attested(p256())},
    ),
    Refusal(
        name="attestation by another token",
        reason="by token 12345679, not 12345678",
        change=lambda k: {"attestation": attested(k, serial=12345679)},
    ),
    Refusal(
        name="request of another key",
        reason="signed for another key",
        change=lambda k: {"csr": csr_of(p256())},
    ),
    Refusal(
        name="request with a bad signature",
        reason="does not verify",
        change=lambda k: {"csr": flipped(csr_of(k))},
    ),
    Refusal(name="garbage request", reason="no readable", change=lambda k: {"csr": b"0"}),
    Refusal(
        name="last day over",
        reason="last day of e1001 was 2026-11-23",
        change=lambda k: {"holder": replace(HOLDER, last_day=date(2026, 11, 23))},
    ),
    Refusal(
        name="no UPN",
        reason="no user principal name",
        change=lambda k: {"holder": replace(HOLDER, upn="")},
    ),
    Refusal(
        name="mail beyond ASCII",
        reason="mail address 'zoë@example.test'",
        change=lambda k: {"holder": replace(HOLDER, email="zoë@example.test")},
    ),
    Refusal(
        name="long name",
        reason="common name",
        change=lambda k: {"settings": replace(SETTINGS, subject="n" * 65)},
    ),
    Refusal(
        name="control character",
        reason="common name",
        change=lambda k: {"settings": replace(SETTINGS, subject="a\nb")},
    ),
    Refusal(
        name="no name",
        reason="common name",
        change=lambda k: {"settings": replace(SETTINGS, subject=" ")},
    ),
    Refusal(
        name="no days",
        reason="for 0 days",
        change=lambda k: {"settings": replace(SETTINGS, days=0)},
    ),
    Refusal(
        name="no usage",
        reason="without usages",
        change=lambda k: {"settings": replace(SETTINGS, usages=())},
    ),
    Refusal(name="no request name", reason="name a request", change=lambda k: {"request_id": ""}),
    Refusal(
        name="hidden request name",
        reason="name a request",
        change=lambda k: {"request_id": "../up"},
    ),
    Refusal(
        name="long request name",
        reason="name a request",
        change=lambda k: {"request_id": "a" * 201},
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refusals_issue_nothing(ca: LocalCa, tmp_path: Path, case: Refusal) -> None:
    """Each reason refuses the request, says so with a remedy, and leaves nothing on the disk."""
    key = p256()
    with pytest.raises(IssuerError, match=case.reason) as caught:
        ca.issue(request_for(key, **case.change(key)), NOW)
    assert caught.value.remedy
    assert list((tmp_path / "ca" / "requests").iterdir()) == []


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (rsa.generate_private_key(65537, 1024), "has 1024 bits only"),
        (x25519.X25519PrivateKey.generate(), "cannot sign"),
        (ec.generate_private_key(ec.SECP256K1()), "on the curve secp256k1"),
    ],
    ids=["rsa1024", "x25519", "secp256k1"],
)
def test_weak_and_mute_keys_are_refused(ca: LocalCa, key: Key, reason: str) -> None:
    """A key that is weak or cannot authenticate anybody gets no certificate."""
    with pytest.raises(IssuerError, match=reason):
        ca.issue(request_for(key), NOW)


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
        patched.setattr(tokenprov.issuer.issued, "create_durable", full)
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


def test_openssl_reads_the_crl(ca: LocalCa, tmp_path: Path) -> None:
    """OpenSSL verifies the list, finds both reasons in it, and refuses the revoked certificate."""
    first = ca.issue(request_for(p256()), NOW)
    second = ca.issue(request_for(p256()), NOW)
    ca.revoke(second.serial_hex, x509.ReasonFlags.key_compromise, NOW)
    ca.revoke(second.serial_hex, x509.ReasonFlags.superseded, NOW)  # changes nothing
    good = ca.issue(request_for(p256(), request_id="ab12cd34-0008/9a"), NOW)
    crl = tmp_path / "crl.pem"
    crl.write_text(openssl("crl", "-inform", "DER", given=ca.crl(NOW)))
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
