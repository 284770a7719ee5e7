"""The certificates of a token's key for secure channels, and those that do not hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.secure_channels import FACTORY_SCP11B, SERIAL, certify, domain, wire
from tokenprov.attestation import AnchorKind, Anchors, NoAnchor, verify_channel_attestation
from tokenprov.errors import AttestationError
from tokenprov.sim.attestation import bench_roots

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOP = ("top", ec.generate_private_key(ec.SECP256R1()))
OWN = ec.generate_private_key(ec.SECP256R1())


def bundle() -> list[bytes]:
    """What a virtual token shows for the key that it left the factory with."""
    return [
        one.public_bytes(Encoding.DER)
        for one in domain(wire()).get_certificate_bundle(FACTORY_SCP11B)
    ]


def anchors() -> Anchors:
    """The makers' roots and those of virtual tokens."""
    roots = bench_roots()
    return Anchors.vendor().with_pem(roots.root_pem + roots.chain_pem, where="bench")


def station(*, authority: bool, key: ec.EllipticCurvePublicKey | None = None) -> tuple[bytes, ...]:
    """A leaf for our own key and its anchor, in PEM for the anchors and DER for the token."""
    top = certify(TOP[0], TOP[1].public_key(), TOP, authority=True)
    leaf = certify("leaf", key or OWN.public_key(), TOP, authority=authority)
    return top.public_bytes(Encoding.PEM), leaf.public_bytes(Encoding.DER)


def test_factory_key_is_vouched_for() -> None:
    """The chain ends at the virtual root, names the serial, and says that it is virtual."""
    certificates = bundle()
    found = verify_channel_attestation(certificates, anchors(), now=NOW)
    assert found.serial == SERIAL
    assert found.virtual
    assert len(found.chain) == 4
    leaf = x509.load_der_x509_certificate(certificates[-1])
    assert found.chain[0] == leaf.subject.rfc4514_string()
    found.require(serial=str(SERIAL))
    found.require(serial=None)
    assert found.to_json()["anchorKind"] == "virtual"


def test_key_of_another_token_is_refused() -> None:
    """A channel to another token than the one in hand is not opened."""
    found = verify_channel_attestation(bundle(), anchors(), now=NOW)
    with pytest.raises(AttestationError, match=f"of token {SERIAL}, not 1"):
        found.require(serial="1")


def test_nobody_vouches() -> None:
    """Where no root is trusted, the error says which authority is missing."""
    with pytest.raises(NoAnchor, match="Virtual"):
        verify_channel_attestation(bundle(), Anchors.vendor(), now=NOW)


def test_a_changed_certificate_does_not_hold() -> None:
    """One bit of the leaf's signature is enough."""
    *above, leaf = bundle()
    changed = leaf[:-1] + bytes([leaf[-1] ^ 1])
    with pytest.raises(AttestationError):
        verify_channel_attestation([*above, changed], anchors(), now=NOW)


def test_a_station_may_vouch_itself() -> None:
    """A key certified by an organisation's own authority counts as that, without a serial."""
    top, leaf = station(authority=False)
    found = verify_channel_attestation([leaf], Anchors.vendor().with_pem(top, where="own"), now=NOW)
    assert found.anchor_kind is AnchorKind.STATION
    assert found.serial is None
    found.require(serial="1")


def test_the_certificate_of_an_authority_is_refused() -> None:
    """A CA's certificate, which may be anybody's, is not one of a token's key."""
    top, leaf = station(authority=True)
    with pytest.raises(AttestationError, match="that of a CA"):
        verify_channel_attestation([leaf], Anchors.vendor().with_pem(top, where="own"), now=NOW)


def test_another_curve_is_refused() -> None:
    """SCP11 agrees on P-256 here."""
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    top, leaf = station(authority=False, key=key)
    with pytest.raises(AttestationError, match="not on the curve P-256"):
        verify_channel_attestation([leaf], Anchors.vendor().with_pem(top, where="own"), now=NOW)


def test_a_key_for_anything_else_is_refused() -> None:
    """A certificate without key agreement in its usage, and one of an RSA key."""
    top, _ = station(authority=False)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, TOP[0])])
    for key, words in (
        (OWN.public_key(), "may not agree on keys"),
        (rsa.generate_private_key(65537, 2048).public_key(), "not on the curve P-256"),
    ):
        leaf = (
            x509.CertificateBuilder(
                issuer, name, key, 5, datetime(2024, 1, 1), datetime(2044, 1, 1)
            )
            .sign(TOP[1], hashes.SHA256())
            .public_bytes(Encoding.DER)
        )
        trusted = Anchors.vendor().with_pem(top, where="own")
        with pytest.raises(AttestationError, match=words):
            verify_channel_attestation([leaf], trusted, now=NOW)
