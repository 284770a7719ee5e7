"""A YubiHSM 2's side of a session, to see that a credential on the token opens one.

Sources: GlobalPlatform Amendment D 1.1.2, 4.1.5 (session keys from static ones, by CMAC in counter
mode) and Amendment F 3.1.2 (keys agreed from two pairs of P-256, by X9.63 with SHA-256), as the
maker's YubiHSM uses them; AES-128 throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY_SIZE = 16  # bytes
SHARED_INFO = bytes.fromhex("3c8810")  # Amendment F 3.1.2: key usage, AES, 16 bytes
CONTEXT_SIZE = 16  # bytes of a symmetric session's: host challenge, then card challenge


class Derived(IntEnum):
    """What a session key is for (Amendment D, table 4-1)."""

    ENC = 0x04
    MAC = 0x06
    RMAC = 0x07


def session_keys(static: bytes, context: bytes) -> bytes:
    """S-ENC, S-MAC and S-RMAC from K-ENC and K-MAC (32 bytes) and the two challenges."""
    enc, mac = static[:KEY_SIZE], static[KEY_SIZE:]
    parts = ((enc, Derived.ENC), (mac, Derived.MAC), (mac, Derived.RMAC))
    return b"".join(_derive(key, what, context) for key, what in parts)


def _derive(key: bytes, what: Derived, context: bytes) -> bytes:
    label = bytes(11) + bytes([what])
    return _cmac(key, label + b"\0" + (8 * KEY_SIZE).to_bytes(2) + b"\1" + context)


def _cmac(key: bytes, message: bytes) -> bytes:
    computation = CMAC(AES(key))
    computation.update(message)
    return computation.finalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the HSM sends, and the session's keys (S-ENC, S-MAC, S-RMAC) that it then has."""

    context: bytes
    receipt: bytes
    keys: bytes = field(repr=False)


class Hsm:
    """An HSM that was told a credential's public key, for one session."""

    def __init__(self) -> None:
        self._static = ec.generate_private_key(ec.SECP256R1())
        self._ephemeral = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its static key, which a host knows."""
        return self._static.public_key()

    def answer(self, challenge: bytes, host: ec.EllipticCurvePublicKey) -> Answer:
        """To the point of an ephemeral key of the host's, whose static key is `host`.

        Raises `ValueError` for a challenge that is no point of P-256.
        """
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), challenge)
        secret = self._ephemeral.exchange(ec.ECDH(), theirs)
        secret += self._static.exchange(ec.ECDH(), host)
        derived = X963KDF(hashes.SHA256(), 4 * KEY_SIZE, SHARED_INFO).derive(secret)
        ours = self._ephemeral.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        return Answer(
            context=challenge + ours,
            receipt=_cmac(derived[:KEY_SIZE], ours + challenge),
            keys=derived[KEY_SIZE:],
        )
