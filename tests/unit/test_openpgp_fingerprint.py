"""Fingerprints of OpenPGP keys, and the sessions of an HSM: published values.

GnuPG's own fingerprints of P-384 and X25519 keys: tests/peers/test_application_settings.py.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from yubikit.openpgp import KEY_REF

from tokenprov.steps.hsmauth.hsm import session_keys
from tokenprov.steps.openpgp.fingerprint import fingerprint


def test_fingerprint_of_the_sample_key() -> None:
    """RFC 9580, A.1: a version 4 key of 2014 for Ed25519."""
    point = "3f098994bdd916ed4053197934e4a87c80733a1280d62f8010992e43ee3b2406"
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(point))
    made = fingerprint(KEY_REF.SIG, key, 0x53F35F0B)
    assert made.hex() == "c959bdbafa32a2f89a153b678cfde12197965a9a"


def test_fingerprint_depends_on_time_and_use() -> None:
    """Another second is another key, and so is a key for decryption (RFC 6637, 9)."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = {
        fingerprint(slot, key, seconds) for slot in (KEY_REF.SIG, KEY_REF.DEC) for seconds in (1, 2)
    }
    assert len(made) == 4
    assert fingerprint(KEY_REF.AUT, key, 1) in made


def test_fingerprint_of_rsa_is_of_the_public_numbers() -> None:
    """RFC 4880, 12.2 and 5.5.2, written out for one key."""
    key = rsa.generate_private_key(65537, 2048).public_key()
    body = b"\x04\0\0\0\x07\x01" + (2048).to_bytes(2) + key.public_numbers().n.to_bytes(256)
    body += b"\x00\x11\x01\x00\x01"
    expected = hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body).digest()
    assert fingerprint(KEY_REF.SIG, key, 7) == expected


def test_session_keys_of_a_vector() -> None:
    """yubikey-manager, tests/device/test_hsmauth.py, TestSessionKeys: of the password "pwd"."""
    static = hashlib.pbkdf2_hmac("sha256", b"pwd", b"Yubico", 10000, 32)
    context = bytes.fromhex("67fcf1feb5f1d883ed763dbf493090bb")
    assert session_keys(static, context).hex() == (
        "b06f1ac987912ebedc1bf0e02a6b5d85"
        "ead6c3a596ea8675bf31d349abb52c74"
        "c2c61e96ab2c58e9837ad0e7d06ee90c"
    )
