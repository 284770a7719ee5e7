"""Envelopes: only the right key opens them, and nothing in them can be changed."""

import base64
import dataclasses
import json
import os
from pathlib import Path

import pytest
import rfc8785
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokenprov.errors import EscrowError
from tokenprov.model import Purpose, SecretKind
from tokenprov.record.escrow import (
    STATION,
    CustodianKey,
    SealContext,
    generate_custodian,
    load_private,
    load_public,
    open_envelope,
    private_from_pem,
    read_context,
    seal,
)
from tokenprov.record.resume import ResumeKeys
from tokenprov.secret import Secret

CONTEXT = SealContext(
    kind=SecretKind.PIV_PUK,
    name="piv/puk",
    token="10000001",
    order="ab12cd34-0007",
    generation=1,
    purpose=Purpose.HELP_DESK,
    station="station-a",
)
PUK = Secret("48151623")


@pytest.fixture(scope="module")
def private() -> ec.EllipticCurvePrivateKey:
    """A custodian's key."""
    return private_from_pem(generate_custodian()[0])


@pytest.fixture(scope="module")
def envelope(private: ec.EllipticCurvePrivateKey) -> bytes:
    """The PUK, sealed to it."""
    return seal(PUK, CustodianKey(public=private.public_key()), CONTEXT)


def test_opens(private: ec.EllipticCurvePrivateKey, envelope: bytes) -> None:
    """The custodian's key opens it, and gets the context too."""
    assert open_envelope(envelope, private) == (CONTEXT, PUK)
    assert read_context(envelope) == (CONTEXT, CustodianKey(public=private.public_key()).kid)
    assert rfc8785.dumps(json.loads(envelope)) == envelope
    assert b"48151623" not in envelope


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    """RFC 5869, 2.2."""
    mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
    mac.update(material)
    return mac.finalize()


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, 2.3, for one block."""
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(info + b"\x01")
    return mac.finalize()[:length]


def test_opens_by_the_standards_own_steps(
    private: ec.EllipticCurvePrivateKey, envelope: bytes
) -> None:
    """RFC 9180 done by hand on ECDH, HMAC and AES-GCM opens it: no library is needed for ever."""
    document = json.loads(envelope)
    sealed = base64.b64decode(document.pop("ciphertext"))
    info = b"tokenprov/envelope/v1\n" + rfc8785.dumps(document)
    enc, ct = sealed[:65], sealed[65:]
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)
    own = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )

    def extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
        return hkdf_extract(salt, b"HPKE-v1" + suite + label + material)

    def expand(suite: bytes, key: bytes, label: bytes, context: bytes, length: int) -> bytes:
        labelled = length.to_bytes(2) + b"HPKE-v1" + suite + label + context
        return hkdf_expand(key, labelled, length)

    kem = b"KEM" + bytes.fromhex("0010")  # RFC 9180, 4.1
    eae = extract(kem, b"", b"eae_prk", private.exchange(ec.ECDH(), point))
    shared = expand(kem, eae, b"shared_secret", enc + own, 32)
    suite = b"HPKE" + bytes.fromhex("001000010002")  # 5.1
    key_context = (
        b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    )
    secret = extract(suite, shared, b"secret", b"")
    key = expand(suite, secret, b"key", key_context, 32)
    nonce = expand(suite, secret, b"base_nonce", key_context, 12)
    assert AESGCM(key).decrypt(nonce, ct, b"") == b"48151623"


def test_two_seals_differ(private: ec.EllipticCurvePrivateKey, envelope: bytes) -> None:
    """Sealing twice gives two envelopes: equal secrets do not show."""
    assert seal(PUK, CustodianKey(public=private.public_key()), CONTEXT) != envelope


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("kind", "piv-pin"),
        ("name", "piv/pin"),
        ("token", "10000002"),
        ("order", "ab12cd34-0008"),
        ("generation", 2),
        ("purpose", "break-glass"),
        ("station", "station-b"),
    ],
)
def test_bound_context(
    private: ec.EllipticCurvePrivateKey, envelope: bytes, member: str, value: object
) -> None:
    """Any member of the context changed, and it does not open."""
    document = json.loads(envelope)
    document["context"][member] = value
    with pytest.raises(EscrowError, match="changed after"):
        open_envelope(rfc8785.dumps(document), private)


def test_every_byte_counts(private: ec.EllipticCurvePrivateKey, envelope: bytes) -> None:
    """One byte changed anywhere in the file, and it does not open."""
    for at in range(len(envelope)):
        for flip in (0x01, 0x20):
            changed = bytearray(envelope)
            changed[at] ^= flip
            with pytest.raises(EscrowError):
                open_envelope(bytes(changed), private)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"v": 2}, "version 2"),
        ({"suite": "other"}, "suite 'other'"),
        ({"more": 1}, "other members"),
        ({"ciphertext": "AAAA"}, "malformed"),
        ({"ciphertext": 5}, "malformed"),
        ({"kid": 5}, "malformed"),
        ({"context": {}}, "context"),
        ({"context": CONTEXT.to_json() | {"name": 5}}, "no text"),
        ({"context": CONTEXT.to_json() | {"generation": 0}}, "generation"),
        ({"context": CONTEXT.to_json() | {"generation": True}}, "generation"),
        ({"context": CONTEXT.to_json() | {"purpose": "anybody"}}, "anybody"),
        ({"context": CONTEXT.to_json() | {"kind": "riddle"}}, "riddle"),
    ],
)
def test_malformed(envelope: bytes, change: dict[str, object], why: str) -> None:
    """A malformed envelope is refused by its reason before any key is used."""
    with pytest.raises(EscrowError, match=why):
        read_context(rfc8785.dumps(json.loads(envelope) | change))


def test_spaced_json_is_refused(envelope: bytes) -> None:
    """Another spelling of the same envelope is none."""
    with pytest.raises(EscrowError, match="canonical"):
        read_context(json.dumps(json.loads(envelope)).encode())


def test_other_custodian(envelope: bytes) -> None:
    """Another custodian's key does not open it, and is told whose does."""
    other = private_from_pem(generate_custodian()[0])
    with pytest.raises(EscrowError, match="private key of help-desk"):
        open_envelope(envelope, other)


def test_errors_hold_no_secret(private: ec.EllipticCurvePrivateKey, envelope: bytes) -> None:
    """What is raised says nothing of the secret."""
    document = json.loads(envelope)
    document["context"] = dataclasses.replace(CONTEXT, generation=9).to_json()
    with pytest.raises(EscrowError) as caught:
        open_envelope(rfc8785.dumps(document), private)
    assert "48151623" not in repr(caught.value) + str(caught.value)


def test_key_files(tmp_path: Path, envelope: bytes) -> None:
    """Keys go through files, with and without a passphrase; errors tell which of the two it was."""
    private, public = generate_custodian(Secret("correct horse"))
    assert b"ENCRYPTED" in private
    (tmp_path / "k").write_bytes(private)
    (tmp_path / "k.pub").write_bytes(public)
    key = load_private(tmp_path / "k", Secret("correct horse"))
    assert load_public(tmp_path / "k.pub").kid == CustodianKey(public=key.public_key()).kid
    with pytest.raises(EscrowError, match="is encrypted"):
        load_private(tmp_path / "k")
    with pytest.raises(EscrowError, match="wrong passphrase"):
        load_private(tmp_path / "k", Secret("battery staple"))
    (tmp_path / "plain").write_bytes(generate_custodian()[0])
    with pytest.raises(EscrowError, match="not encrypted"):
        load_private(tmp_path / "plain", Secret("x"))
    with pytest.raises(EscrowError, match="cannot be read"):
        load_public(tmp_path / "missing")
    with pytest.raises(EscrowError, match="PEM"):
        load_public(tmp_path / "k")


def test_other_curves() -> None:
    """Keys that are not on P-256 are refused, public and private."""
    for key in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with pytest.raises(EscrowError, match="P-256"):
            CustodianKey.from_pem(pem)
        with pytest.raises(EscrowError, match="P-256"):
            private_from_pem(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )


def test_resume_keys(tmp_path: Path) -> None:
    """An order's key comes back until it is destroyed, and then what it sealed is lost."""
    keys = ResumeKeys(tmp_path)
    drawn = keys.draw("ab12cd34-0007")
    assert keys.orders() == []  # nothing is on the disk of a token that is refused
    keys.keep("ab12cd34-0007", drawn)
    recipient = CustodianKey(public=drawn.public_key())
    context = dataclasses.replace(CONTEXT, purpose=STATION)
    sealed = seal(PUK, recipient, context)
    again = keys.draw("ab12cd34-0007")
    assert again.private_numbers() == drawn.private_numbers()
    keys.keep("ab12cd34-0007", again)
    assert keys.orders() == ["ab12cd34-0007"]
    assert os.stat(tmp_path / "open/ab12cd34-0007.key").st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "open").st_mode & 0o777 == 0o700
    assert open_envelope(sealed, keys.private("ab12cd34-0007")) == (context, PUK)
    keys.destroy("ab12cd34-0007")
    keys.destroy("ab12cd34-0007")
    assert keys.orders() == []
    with pytest.raises(EscrowError, match="no key for order"):
        keys.private("ab12cd34-0007")
    with pytest.raises(EscrowError, match="sealed to key"):
        open_envelope(sealed, private_from_pem(generate_custodian()[0]))


@pytest.mark.parametrize("order", ["", "../x", "a/b", ".hidden", "a b"])
def test_resume_key_names(tmp_path: Path, order: str) -> None:
    """What is no order's id does not become a path."""
    with pytest.raises(ValueError, match="order"):
        ResumeKeys(tmp_path).draw(order)
