"""The cryptography of SCP03 and SCP11, from AES, CMAC and P-256.

Rules
- Keys are derived by counter mode with CMAC as its function, SP 800-108, with the label of 12
  bytes of Amendment D 4.1.5.
- Data is padded with 80 and zeros to whole blocks (ISO/IEC 9797-1, method 2).
- SCP11 derives by X9.63 with SHA-256 (BSI TR-03111 4.3.3), from the x coordinates (Amendment F
  3.1.2).
"""

from __future__ import annotations

from enum import IntEnum

from cryptography.hazmat.primitives import cmac as cmac_module
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

BLOCK = 16  # bytes
KEY_BYTES = 16  # AES-128, the only size that the maker has
CHECK_VALUE_BYTES = 3  # GPC B.6
POINT_BYTES = 65  # of P-256, uncompressed
_ZERO_BLOCK = bytes(BLOCK)
_CHECKED_BLOCK = b"\x01" * BLOCK  # Amendment D 4.1.4


class Derived(IntEnum):
    """What is derived: the last byte of the label (Amendment D, table 4-1)."""

    CARD_CRYPTOGRAM = 0x00
    HOST_CRYPTOGRAM = 0x01
    ENC = 0x04
    MAC = 0x06
    RMAC = 0x07


def cmac(key: bytes, *parts: bytes) -> bytes:
    """AES-CMAC over the parts, 16 bytes (SP 800-38B)."""
    computation = cmac_module.CMAC(AES(key))
    for part in parts:
        computation.update(part)
    return computation.finalize()


def derive(key: bytes, what: Derived, context: bytes, size: int = KEY_BYTES) -> bytes:
    """`size` bytes, at most 16, derived from a static or session key (Amendment D 4.1.5)."""
    label = bytes(11) + bytes([what])
    counter = b"\x01"
    return cmac(key, label, b"\0", (size * 8).to_bytes(2), counter, context)[:size]


def encrypt_cbc(key: bytes, data: bytes, iv: bytes = _ZERO_BLOCK) -> bytes:
    """AES-CBC of whole blocks."""
    encryptor = Cipher(AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def decrypt_cbc(key: bytes, data: bytes, iv: bytes = _ZERO_BLOCK) -> bytes:
    """Undo `encrypt_cbc`. Raises `ValueError` for what is not whole blocks."""
    decryptor = Cipher(AES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def encrypt_block(key: bytes, block: bytes) -> bytes:
    """One block of AES."""
    return encrypt_cbc(key, block)


def check_value(key: bytes) -> bytes:
    """The key check value of an AES key, 3 bytes (Amendment D 4.1.4)."""
    return encrypt_block(key, _CHECKED_BLOCK)[:CHECK_VALUE_BYTES]


def pad(data: bytes) -> bytes:
    """Whole blocks of it, at least one."""
    return data + b"\x80" + bytes(BLOCK - 1 - len(data) % BLOCK)


def unpad(data: bytes) -> bytes:
    """Undo `pad`. Raises `ValueError` when it is not padded."""
    plain = data.rstrip(b"\0")
    if not plain.endswith(b"\x80") or len(data) - len(plain) >= BLOCK:
        raise ValueError("no padding")
    return plain[:-1]


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as an uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def read_point(data: bytes) -> ec.EllipticCurvePublicKey:
    """A public key of P-256. Raises `ValueError` for what is not an uncompressed point on it."""
    if len(data) != POINT_BYTES:
        raise ValueError("not an uncompressed point of P-256")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)


def agree(
    pairs: tuple[tuple[ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey], ...],
    shared_info: bytes,
    keys: int,
) -> list[bytes]:
    """Keys of 16 bytes from the secrets of pairs of keys, in their order (Amendment F 3.1.2)."""
    secret = b"".join(private.exchange(ec.ECDH(), public) for private, public in pairs)
    derived = X963KDF(hashes.SHA256(), keys * KEY_BYTES, shared_info).derive(secret)
    return [derived[start : start + KEY_BYTES] for start in range(0, len(derived), KEY_BYTES)]
