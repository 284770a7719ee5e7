"""CTAP1: the raw messages of U2F (FIDO U2F Raw Message Formats 1.2; CTAP 2.1, 7.2).

A U2F key handle is a credential id, so that CTAP2 finds it with the appid as RP ID, and the
reverse, as far as the algorithm and the protection of the credential allow it.
"""

from __future__ import annotations

from enum import IntEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.ctap import credentials
from tokenprov.sim.ctap.core import Core
from tokenprov.sim.ctap.keys import Algorithm, p256_point, sign
from tokenprov.sim.ctap.wire import AuthDataFlag, CredentialProtection

VERSION = b"U2F_V2"
CHALLENGE_LENGTH = APPLICATION_LENGTH = 32  # bytes each; 4.1 and 5.1
RESERVED = 0x05  # first byte of a registration answer; 4.3
FUTURE_USE = 0x00  # first byte of what a registration signs; 4.3


class Instruction(IntEnum):
    """Instructions (U2F Raw Message Formats, 3.1.1)."""

    REGISTER = 0x01
    AUTHENTICATE = 0x02
    VERSION = 0x03


class Control(IntEnum):
    """Control bytes of an authentication (U2F Raw Message Formats, 5.1)."""

    ENFORCE_PRESENCE = 0x03
    CHECK_ONLY = 0x07
    DONT_ENFORCE_PRESENCE = 0x08


class U2f:
    """The three messages."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def enabled(self) -> bool:
        """Whether there is U2F at the moment (CTAP 2.1, 7.2.4)."""
        return not self._core.state.always_uv

    def process(self, command: Command) -> bytes:
        """Answer one message. Raises `Refusal`."""
        if command.cla != 0x00:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        if command.ins not in tuple(Instruction):
            raise Refusal(SW.INVALID_INSTRUCTION)
        if not self.enabled:
            raise Refusal(SW.COMMAND_NOT_ALLOWED)
        if command.ins == Instruction.REGISTER:
            return self._register(command.data)
        if command.ins == Instruction.AUTHENTICATE:
            return self._authenticate(command.p1, command.data)
        if command.data:
            raise Refusal(SW.WRONG_LENGTH)
        return VERSION

    def _register(self, data: bytes) -> bytes:
        core = self._core
        if len(data) != CHALLENGE_LENGTH + APPLICATION_LENGTH:
            raise Refusal(SW.WRONG_LENGTH)
        challenge, application = data[:CHALLENGE_LENGTH], data[CHALLENGE_LENGTH:]
        self._touch()
        credential = credentials.wrap(
            core.state,
            core.body.random,
            application,
            Algorithm.ES256,
            CredentialProtection.UV_OPTIONAL,
            hmac_secret=False,
        )
        core.body.spend("p256")
        point = p256_point(credentials.key_secret(core.state, credential))
        key, x5c = core.attestation(None)
        signed = bytes([FUTURE_USE]) + application + challenge + credential.id + point
        signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
        handle = bytes([len(credential.id)]) + credential.id
        return bytes([RESERVED]) + point + handle + x5c[0] + signature

    def _authenticate(self, control: int, data: bytes) -> bytes:
        core = self._core
        head = CHALLENGE_LENGTH + APPLICATION_LENGTH
        if len(data) <= head or len(data) != head + 1 + data[head]:
            raise Refusal(SW.WRONG_LENGTH)
        challenge, application = data[:CHALLENGE_LENGTH], data[CHALLENGE_LENGTH:head]
        credential = credentials.lookup(core.state, application, data[head + 1 :])
        if (
            credential is None
            or credential.algorithm is not Algorithm.ES256
            or credential.protection is CredentialProtection.UV_REQUIRED  # CTAP 2.1, 12.1
        ):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if control == Control.CHECK_ONLY:  # 5.1: the "error" says that the handle is known
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        flags = AuthDataFlag(0)
        if control == Control.ENFORCE_PRESENCE:
            self._touch()
            flags = AuthDataFlag.USER_PRESENT
        elif control != Control.DONT_ENFORCE_PRESENCE:
            raise Refusal(SW.WRONG_P1P2)
        head_of_answer = bytes([flags]) + core.count().to_bytes(4, "big")
        core.body.save()
        core.body.spend("p256")
        secret = credentials.key_secret(core.state, credential)
        signed = application + head_of_answer + challenge
        return head_of_answer + sign(Algorithm.ES256, secret, signed)

    def _touch(self) -> None:
        if not self._core.body.touch():
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
