"""PIN/UV auth protocols one and two, the authenticator's side (CTAP 2.1, 6.5.6 and 6.5.7).

The key agreement key is new at power-up and after every wrong PIN (`regenerate`). Shared secrets
are 32 bytes for protocol one, and 32 bytes of HMAC key with 32 bytes of AES key for protocol two.
What a platform sends and cannot be right raises `CtapError` INVALID_PARAMETER.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tokenprov.sim.ctap.arguments import Arguments
from tokenprov.sim.ctap.keys import (
    SECRET_LENGTH,
    Algorithm,
    CoseCurve,
    CoseKeyParameter,
    CoseKeyType,
    cose_ec_key,
    ec_private_key,
)
from tokenprov.sim.ctap.wire import CtapError, Status

BLOCK = 16  # bytes, AES
KEY_AGREEMENT_ALGORITHM = -25  # ECDH-ES + HKDF-256; CTAP 2.1, 6.5.6
TOKEN_LENGTH = 32  # bytes; CTAP 2.1, 6.5.7 (protocol one allows 16 as well)


class PinUvAuthProtocol(Protocol):
    """What both protocols offer to the commands."""

    def regenerate(self) -> None:
        """Draw a new key agreement key."""
        ...

    def public_key(self) -> dict[int, int | bytes]:
        """The key agreement key as a COSE key."""
        ...

    def decapsulate(self, peer: Arguments) -> bytes:
        """The shared secret with a platform's key agreement key."""
        ...

    def encrypt(self, secret: bytes, plaintext: bytes) -> bytes:
        """Encrypt whole AES blocks under a shared secret."""
        ...

    def decrypt(self, secret: bytes, ciphertext: bytes) -> bytes:
        """Decrypt whole AES blocks under a shared secret."""
        ...

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the MAC is right, under a shared secret or a pinUvAuthToken."""
        ...


class _KeyAgreement:
    """The part that both protocols share: an ephemeral P-256 key."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self.regenerate()

    def regenerate(self) -> None:
        self._key = ec_private_key(Algorithm.ES256, self._random(SECRET_LENGTH))

    def public_key(self) -> dict[int, int | bytes]:
        return cose_ec_key(self._key.public_key(), KEY_AGREEMENT_ALGORITHM, CoseCurve.P256)

    def _exchange(self, peer: Arguments) -> bytes:
        """The x-coordinate of the shared point, 32 bytes."""
        if (
            peer.required(CoseKeyParameter.KTY, int) != CoseKeyType.EC2
            or peer.required(CoseKeyParameter.CRV, int) != CoseCurve.P256
        ):
            raise CtapError(Status.INVALID_PARAMETER)
        x = peer.required(CoseKeyParameter.X, bytes)
        y = peer.required(CoseKeyParameter.Y, bytes)
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), b"\x04" + x.rjust(32, b"\0") + y.rjust(32, b"\0")
            )
        except ValueError as exc:
            raise CtapError(Status.INVALID_PARAMETER) from exc
        return self._key.exchange(ec.ECDH(), point)


class ProtocolOne(_KeyAgreement):
    """PIN/UV auth protocol one (CTAP 2.1, 6.5.6): SHA-256, AES-CBC with IV zero, a short MAC."""

    MAC_LENGTH = 16

    def decapsulate(self, peer: Arguments) -> bytes:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(self._exchange(peer))
        return digest.finalize()

    def encrypt(self, secret: bytes, plaintext: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES(secret), modes.CBC(bytes(BLOCK))).encryptor()
        return encryptor.update(plaintext) + encryptor.finalize()

    def decrypt(self, secret: bytes, ciphertext: bytes) -> bytes:
        return _decrypt(secret, bytes(BLOCK), ciphertext)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        expected = hmac.digest(key, message, "sha256")[: self.MAC_LENGTH]
        return hmac.compare_digest(expected, signature)


class ProtocolTwo(_KeyAgreement):
    """PIN/UV auth protocol two (CTAP 2.1, 6.5.7): HKDF, AES-CBC with a random IV, a whole MAC."""

    HMAC_INFO = b"CTAP2 HMAC key"
    AES_INFO = b"CTAP2 AES key"

    def decapsulate(self, peer: Arguments) -> bytes:
        z = self._exchange(peer)
        return _hkdf(z, self.HMAC_INFO) + _hkdf(z, self.AES_INFO)

    def encrypt(self, secret: bytes, plaintext: bytes) -> bytes:
        iv = self._random(BLOCK)
        encryptor = Cipher(algorithms.AES(secret[32:]), modes.CBC(iv)).encryptor()
        return iv + encryptor.update(plaintext) + encryptor.finalize()

    def decrypt(self, secret: bytes, ciphertext: bytes) -> bytes:
        if len(ciphertext) < BLOCK:
            raise CtapError(Status.INVALID_PARAMETER)
        return _decrypt(secret[32:], ciphertext[:BLOCK], ciphertext[BLOCK:])

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        expected = hmac.digest(key[:32], message, "sha256")
        return hmac.compare_digest(expected, signature)


def _decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    if len(ciphertext) % BLOCK:
        raise CtapError(Status.INVALID_PARAMETER)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()


def _hkdf(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=bytes(32), info=info).derive(secret)


def protocols(
    numbers: tuple[int, ...], random: Callable[[int], bytes]
) -> dict[int, PinUvAuthProtocol]:
    """The protocols with those numbers, each with a new key agreement key."""
    makers: dict[int, Callable[[], PinUvAuthProtocol]] = {
        1: lambda: ProtocolOne(random),
        2: lambda: ProtocolTwo(random),
    }
    return {number: makers[number]() for number in numbers}
