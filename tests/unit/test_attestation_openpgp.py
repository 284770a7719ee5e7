"""OpenPGP attestations: what a token made under the virtual roots, and each rule broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import urandom

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from yubikit.openpgp import KEY_REF, UIF

from tests.openpgp_contact import SERIAL, Contact
from tests.piv_contact import roots
from tokenprov.attestation import Anchors, NoAnchor
from tokenprov.attestation.openpgp import OpenPgpAttestation, verify_openpgp_attestation
from tokenprov.errors import AttestationError

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ARC = "1.3.6.1.4.1.41482.5"
SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def anchors() -> Anchors:
    """The makers' roots and the virtual ones."""
    made = Anchors.vendor()
    for pem in (roots().root_pem, roots().chain_pem):
        made = made.with_pem(pem, where="the virtual roots")
    return made


@pytest.mark.parametrize("model", ["yubikey-5.7.4", "yubikey-5.4.3"])
def test_of_a_token(model: str, anchors: Anchors) -> None:
    """A generated key's attestation leads to the virtual root and says what the key is."""
    contact = Contact(model)
    session = contact.authenticated()
    key = session.generate_rsa_key(KEY_REF.DEC, 2048)  # type: ignore[arg-type]  # an int will do
    session.set_uif(KEY_REF.DEC, UIF.CACHED)
    session.set_generation_time(KEY_REF.DEC, 1234)
    leaf, device = session.attest_key(KEY_REF.DEC), session.get_certificate(KEY_REF.ATT)
    said = verify(leaf.public_bytes(Encoding.DER), device.public_bytes(Encoding.DER), anchors)
    assert said.virtual
    assert (said.slot, said.serial, said.time, said.touch) == ("dec", SERIAL, 1234, UIF.CACHED)
    assert said.public_key == key.public_bytes(*SPKI)
    assert said.to_json()["firmware"] == model.removeprefix("yubikey-")


def test_vendor_roots_alone_do_not_know_it() -> None:
    """Without the virtual roots the issuer is unknown."""
    with pytest.raises(NoAnchor):
        verify(*made(Leaf()), Anchors.vendor())


def verify(leaf: bytes, device: bytes, anchors: Anchors) -> OpenPgpAttestation:
    """Check at a fixed time."""
    return verify_openpgp_attestation(leaf, device, anchors, now=NOW)


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """An attestation to be made, with what may be wrong in it. Extensions in DER, by number."""

    subject: str = "YubiKey OPGP Attestation SIG"
    other_issuer: bool = False
    authority: bool = False
    changed: Mapping[int, bytes | None] = field(default_factory=dict)


RIGHT: Mapping[int, bytes] = {
    2: b"\x02\x01\x01",
    3: b"\x04\x03\x05\x07\x04",
    4: b"\x04\x14" + bytes(range(20)),
    5: b"\x04\x04\0\0\0\x09",
    7: b"\x02\x04\x01\xb3\xbe\xf6",  # 28557046
    8: b"\x04\x01\x01",
    9: b"\x04\x01\x03",
}
KEY = ec.generate_private_key(ec.SECP256R1())


def made(leaf: Leaf) -> tuple[bytes, bytes]:
    """The attestation and its attestation key's certificate, DER."""
    private = ec.generate_private_key(ec.SECP384R1())
    device = roots().certify_openpgp(private.public_key(), version=(5, 7, 4), random=urandom)
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another")])
    builder = x509.CertificateBuilder(
        other if leaf.other_issuer else device.subject,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, leaf.subject)]),
        KEY.public_key(),
        7,
        datetime(2016, 1, 1),
        datetime(2052, 1, 1),
    )
    for number, value in {**RIGHT, **leaf.changed}.items():
        if value is not None:
            oid = x509.ObjectIdentifier(f"{ARC}.{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), False)
    if leaf.authority:
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    certificate = builder.sign(private, hashes.SHA256())
    return certificate.public_bytes(Encoding.DER), device.public_bytes(Encoding.DER)


def test_a_right_one_holds(anchors: Anchors) -> None:
    """What the table below changes is right to begin with."""
    said = verify(*made(Leaf()), anchors)
    assert (said.slot, said.serial, said.time, said.touch) == ("sig", 28557046, 9, UIF.ON)
    assert said.fingerprint == bytes(range(20))
    assert not said.fips
    require(said)


WRONG = [
    (Leaf(subject="YubiKey PIV Attestation 9a"), "names no slot"),
    (Leaf(subject="YubiKey OPGP Attestation ATT"), "names no slot"),
    (Leaf(other_issuer=True), "not issued by this token"),
    (Leaf(authority=True), "of an authority"),
    (Leaf(changed={2: b"\x02\x01\x02"}), "was not generated"),
    (Leaf(changed={2: None}), "was not generated"),
    (Leaf(changed={2: b"\x02\x02\x00\x01"}), "origin is not a positive DER INTEGER"),
    (Leaf(changed={3: b"\x05\x07\x04"}), "firmware in 3 bytes"),
    (Leaf(changed={4: b"\x04\x13" + bytes(19)}), "fingerprint in 20 bytes"),
    (Leaf(changed={5: None}), "time of generation in 4 bytes"),
    (Leaf(changed={5: b"\x04\x04\0\0\0\x09\x09"}), "time of generation in 4 bytes"),
    (Leaf(changed={7: b"\x02\x01\x00"}), "serial is not a positive DER INTEGER"),
    (Leaf(changed={7: b"\x02\x04\xf1\xb3\xbe\xf6"}), "serial is not a positive DER INTEGER"),
    (Leaf(changed={8: b"\x04\x01\x07"}), "unknown user interaction flag"),
    (Leaf(changed={9: None}), "form factor in 1 bytes"),
]


@pytest.mark.parametrize(("leaf", "says"), WRONG, ids=[says for _, says in WRONG])
def test_a_wrong_one_is_refused(leaf: Leaf, says: str, anchors: Anchors) -> None:
    """Each rule is kept, and its breach named."""
    with pytest.raises(AttestationError, match=says):
        verify(*made(leaf), anchors)


def test_another_token_did_not_issue_it(anchors: Anchors) -> None:
    """A leaf under the certificate of another token's attestation key does not hold."""
    leaf, _ = made(Leaf())
    _, device = made(Leaf())
    with pytest.raises(AttestationError):
        verify(leaf, device, anchors)


def require(said: OpenPgpAttestation, **changed: object) -> None:
    """Compare with what a token says, of which some is changed."""
    right: dict[str, object] = {
        "slot": "sig",
        "serial": "28557046",
        "public_key": KEY.public_key().public_bytes(*SPKI),
        "fingerprint": bytes(range(20)),
        "time": 9,
        "touch": UIF.ON,
    }
    said.require(**{**right, **changed})  # type: ignore[arg-type]  # a table of the test's own


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"slot": "aut"}, "is for slot sig, not aut"),
        ({"serial": "1"}, "by token 28557046, not 1"),
        ({"public_key": b"another"}, "another key"),
        ({"fingerprint": bytes(20)}, "another fingerprint or time"),
        ({"time": 10}, "another fingerprint or time"),
        ({"touch": UIF.OFF}, "is on, not off"),
    ],
)
def test_what_differs_from_the_token_is_named(
    changed: dict[str, object], says: str, anchors: Anchors
) -> None:
    """Slot, serial, key, fingerprint, time and touch policy must be the token's."""
    said = verify(*made(Leaf()), anchors)
    with pytest.raises(AttestationError, match=says):
        require(said, **changed)
