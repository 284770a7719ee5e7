"""HPKE opened with no more than an ECDH: for private keys that never leave their device.

RFC 9180, base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message without
additional data. The device does the one Diffie-Hellman; the rest is done here. The shared secret is
of one message only.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ENC_SIZE = 65  # bytes: Nenc of DHKEM(P-256), RFC 9180, 7.1
KEY_SIZE, NONCE_SIZE, SECRET_SIZE = 32, 12, 32  # Nk, Nn of AES-256-GCM (7.3), Nsecret (7.1)

_VERSION = b"HPKE-v1"  # 4
_KEM = b"KEM" + (0x0010).to_bytes(2)  # 4.1
_SUITE = b"HPKE" + b"".join(number.to_bytes(2) for number in (0x0010, 0x0001, 0x0002))  # 5.1
_BASE = b"\0"  # mode_base, 5

Exchange = Callable[[bytes], bytes]  # the peer's uncompressed point -> the x coordinate of ECDH


def open_by_exchange(
    sealed: bytes, info: bytes, own: ec.EllipticCurvePublicKey, exchange: Exchange
) -> bytes:
    """The message in `enc || ct`. `own` is the public half of the key that `exchange` uses.

    Raises InvalidTag: sealed to another key, or changed, or `enc` is no point on P-256.
    """
    enc, ciphertext = sealed[:ENC_SIZE], sealed[ENC_SIZE:]
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)  # 7.1.4: validated first
    except ValueError as error:
        raise InvalidTag from error
    point = own.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    extracted = _extract(_KEM, b"", b"eae_prk", exchange(enc))  # ExtractAndExpand, 4.1
    shared = _expand(_KEM, extracted, b"shared_secret", enc + point, SECRET_SIZE)
    context = (  # KeySchedule, 5.1
        _BASE
        + _extract(_SUITE, b"", b"psk_id_hash", b"")
        + _extract(_SUITE, b"", b"info_hash", info)
    )
    secret = _extract(_SUITE, shared, b"secret", b"")
    key = _expand(_SUITE, secret, b"key", context, KEY_SIZE)
    nonce = _expand(_SUITE, secret, b"base_nonce", context, NONCE_SIZE)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    """LabeledExtract, 4."""
    mac = hmac.HMAC(salt or bytes(hashes.SHA256.digest_size), hashes.SHA256())
    mac.update(_VERSION + suite + label + material)
    return mac.finalize()


def _expand(suite: bytes, key: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """LabeledExpand, 4."""
    info = length.to_bytes(2) + _VERSION + suite + label + context
    return HKDFExpand(hashes.SHA256(), length, info).derive(key)
