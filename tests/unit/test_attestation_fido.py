"""FIDO attestation: real tokens' statements, virtual ones, and what does not hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from tokenprov.attestation import AnchorKind, Anchors, FidoAttestation, FidoGrade
from tokenprov.attestation import verify_fido_attestation as verify
from tokenprov.errors import AttestationError
from tokenprov.sim.attestation import VirtualRoots

VECTORS = Path(__file__).parents[1] / "vectors" / "fido"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
U2F_ROOT = "0fa1386f80eb8713263ae5c1d84deb455bdf08aea50ab05503cefee82b092d42"
AAGUID = bytes.fromhex("19083c3d83834b188bc03fd0a6d3b3e2")
CLIENT_DATA_HASH = hashlib.sha256(b"client data").digest()


@pytest.fixture(scope="module")
def vendor() -> Anchors:
    """The anchors that ship."""
    return Anchors.vendor()


@pytest.fixture(scope="module")
def roots() -> VirtualRoots:
    """A virtual hierarchy."""
    return VirtualRoots.create()


@pytest.fixture(scope="module")
def virtual(vendor: Anchors, roots: VirtualRoots) -> Anchors:
    """The anchors of a station that also knows the virtual roots."""
    return vendor.with_pem(roots.root_pem + roots.chain_pem, where="trust/virtual.pem")


def real(name: str) -> tuple[bytes, bytes]:
    """A real attestation object and the hash of its client data."""
    client_data = (VECTORS / f"{name}.client-data.json").read_bytes()
    return (VECTORS / f"{name}.attestation").read_bytes(), hashlib.sha256(client_data).digest()


def credential(key: ec.EllipticCurvePrivateKey, aaguid: bytes = AAGUID) -> AuthenticatorData:
    """The authenticator data of a new credential of that key."""
    data = AttestedCredentialData.create(
        aaguid, b"credential", ES256.from_cryptography_key(key.public_key())
    )
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
    made: AuthenticatorData = AuthenticatorData.create(
        hashlib.sha256(b"example.test").digest(), flags, 1, data
    )
    return made


def packed(
    signer: ec.EllipticCurvePrivateKey, data: AuthenticatorData, **statement: Any
) -> AttestationObject:
    """A packed statement over that credential; `statement` adds to it or replaces parts."""
    signature = signer.sign(data + CLIENT_DATA_HASH, ec.ECDSA(hashes.SHA256()))
    return AttestationObject.create("packed", data, {"alg": -7, "sig": signature} | statement)


def test_a_real_yubikey_5_is_attested(vendor: Anchors) -> None:
    """A packed statement of a YubiKey 5 NFC leads to the maker's pinned root."""
    found = verify(*real("yubikey-5-nfc-packed"), vendor, now=NOW)
    assert found == FidoAttestation(
        grade=FidoGrade.ATTESTED,
        format="packed",
        aaguid="2fc0579f-8113-47ea-b116-bb5a8db9202a",
        serial=None,
        chain=(
            "CN=Yubico U2F EE Serial 512722740,OU=Authenticator Attestation,O=Yubico AB,C=SE",
            "CN=Yubico U2F Root CA Serial 457200631",
        ),
        anchor_fingerprint=U2F_ROOT,
        anchor_kind=AnchorKind.VENDOR,
    )
    assert not found.virtual


def test_a_real_u2f_token_is_attested(vendor: Anchors) -> None:
    """A fido-u2f statement of a YubiKey 4 is attested, without an AAGUID."""
    found = verify(*real("yubikey-4-u2f"), vendor, now=NOW)
    assert (found.grade, found.format) == (FidoGrade.ATTESTED, "fido-u2f")
    assert found.aaguid == "00000000-0000-0000-0000-000000000000"


def test_none_is_none(vendor: Anchors) -> None:
    """A real statement of format none is graded none, and serialised without a chain."""
    found = verify(*real("platform-none"), vendor, now=NOW)
    assert found.grade is FidoGrade.NONE
    assert found.to_json() == {"grade": "none", "format": "none", "aaguid": found.aaguid}


@pytest.mark.parametrize("name", ["yubikey-5-nfc-packed", "yubikey-4-u2f"])
def test_an_altered_byte_is_never_attested(name: str, vendor: Anchors) -> None:
    """A changed byte is refused or no longer attested, but for what U2F leaves unsigned.

    Its message is the RP ID hash, the key handle and the point (FIDO U2F raw messages, 4.3):
    neither flags, counter and AAGUID, nor how the rest is wrapped.
    """
    attestation, client_data_hash = real(name)
    genuine = AttestationObject(attestation).auth_data
    for position in range(len(attestation)):
        altered = bytearray(attestation)
        altered[position] ^= 0x01
        try:
            found = verify(bytes(altered), client_data_hash, vendor, now=NOW)
        except AttestationError:
            continue
        if found.grade is FidoGrade.UNANCHORED:
            continue
        assert name == "yubikey-4-u2f", f"byte {position} is attested although it was altered"
        auth_data = AttestationObject(bytes(altered)).auth_data
        ours, theirs = genuine.credential_data, auth_data.credential_data
        assert ours is not None
        assert theirs is not None
        assert auth_data.rp_id_hash == genuine.rp_id_hash
        assert theirs.credential_id == ours.credential_id
        assert [theirs.public_key[n] for n in (-2, -3)] == [ours.public_key[n] for n in (-2, -3)]


def test_another_challenge_is_refused(vendor: Anchors) -> None:
    """A statement over other client data does not hold."""
    attestation, _ = real("yubikey-5-nfc-packed")
    with pytest.raises(AttestationError, match="does not hold"):
        verify(attestation, CLIENT_DATA_HASH, vendor, now=NOW)


def test_self_attestation_is_graded_self(vendor: Anchors) -> None:
    """A credential that signs for itself claims an AAGUID and no more; another key is refused."""
    key = ec.generate_private_key(ec.SECP256R1())
    found = verify(packed(key, credential(key)), CLIENT_DATA_HASH, vendor, now=NOW)
    assert (found.grade, found.anchor_kind, found.chain) == (FidoGrade.SELF, None, ())
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(AttestationError, match="InvalidSignature"):
        verify(packed(other, credential(key)), CLIENT_DATA_HASH, vendor, now=NOW)


def test_a_virtual_token_is_virtual_and_tells_its_serial(
    roots: VirtualRoots, virtual: Anchors, vendor: Anchors
) -> None:
    """Enterprise attestation of a virtual token; without its root it is graded unanchored."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, x5c = roots.fido_attestation(AAGUID, 28557046)
    statement = packed(signer, credential(key), x5c=x5c)
    found = verify(statement, CLIENT_DATA_HASH, virtual, now=NOW)
    assert (found.grade, found.serial, found.virtual) == (FidoGrade.ATTESTED, 28557046, True)
    assert FidoAttestation.from_json(found.to_json()) == found
    unknown = verify(statement, CLIENT_DATA_HASH, vendor, now=NOW)
    assert (unknown.grade, unknown.serial) == (FidoGrade.UNANCHORED, None)


def test_another_models_aaguid_is_refused(roots: VirtualRoots, virtual: Anchors) -> None:
    """The certificate of one model does not vouch for another."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, x5c = roots.fido_attestation(AAGUID, None)
    statement = packed(signer, credential(key, aaguid=bytes(15) + b"\1"), x5c=x5c)
    with pytest.raises(AttestationError, match="does not hold"):
        verify(statement, CLIENT_DATA_HASH, virtual, now=NOW)


def test_a_leaf_out_of_its_time_is_refused(roots: VirtualRoots, virtual: Anchors) -> None:
    """Before its authorities existed, nothing was attested: the clock is named."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, x5c = roots.fido_attestation(AAGUID, None)
    statement = packed(signer, credential(key), x5c=x5c)
    with pytest.raises(AttestationError, match="clock"):
        verify(statement, CLIENT_DATA_HASH, virtual, now=datetime(2020, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A statement that is refused, made from a good one, and words of the reason."""

    name: str
    change: Callable[[dict[str, Any]], dict[str, Any]]
    reason: str
    format: str = "packed"


BAD = [
    Bad(name="x5c empty", change=lambda s: s | {"x5c": []}, reason="0 certificates"),
    Bad(name="x5c long", change=lambda s: s | {"x5c": s["x5c"] * 3}, reason="6 certificates"),
    Bad(name="x5c not bytes", change=lambda s: s | {"x5c": ["a"]}, reason="list of DER"),
    Bad(name="x5c not DER", change=lambda s: s | {"x5c": [b"a"]}, reason="not a certificate"),
    Bad(name="alg of another curve", change=lambda s: s | {"alg": -35}, reason="not that of"),
    Bad(name="alg unknown", change=lambda s: s | {"alg": 5}, reason="not that of"),
    Bad(name="sig not bytes", change=lambda s: s | {"sig": "a"}, reason="not bytes"),
    Bad(name="no sig", change=lambda s: {k: s[k] for k in ("alg", "x5c")}, reason="does not hold"),
    Bad(name="ecdaa", change=lambda s: s | {"ecdaaKeyId": b"a"}, reason="malformed"),
    Bad(name="none with a statement", change=lambda s: s, reason="does not hold", format="none"),
    Bad(name="tpm", change=lambda s: s, reason="'tpm' is not one", format="tpm"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_bad_statements_are_refused(roots: VirtualRoots, virtual: Anchors, case: Bad) -> None:
    """A statement that is there and is wrong is an error, never a lower grade."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, x5c = roots.fido_attestation(AAGUID, None)
    data = credential(key)
    good = dict(packed(signer, data, x5c=x5c).att_stmt)
    statement = AttestationObject.create(case.format, data, case.change(good))
    with pytest.raises(AttestationError, match=case.reason):
        verify(statement, CLIENT_DATA_HASH, virtual, now=NOW)


def test_garbage_is_refused(vendor: Anchors) -> None:
    """What is no attestation object, or one of an assertion, is refused."""
    for garbage in (b"", b"\xa0", b"\x80", bytes(100)):
        with pytest.raises(AttestationError, match="cannot be read"):
            verify(garbage, CLIENT_DATA_HASH, vendor, now=NOW)
    asserted = AuthenticatorData.create(bytes(32), AuthenticatorData.FLAG.UP, 1)
    statement = AttestationObject.create("none", asserted, {})
    with pytest.raises(AttestationError, match="names no credential"):
        verify(statement, CLIENT_DATA_HASH, vendor, now=NOW)
