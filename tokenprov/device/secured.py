"""Secure messaging below the applets' sessions: what they send goes through a secure channel.

A session opened with `scp_key_params` loses its channel when it selects its applet again, and goes
on in plain text. Here it is the connection that secures, so that no session can leave it out:

- SELECT goes in plain text, as it ends every channel (GPC 10.2.3). The first command after it opens
  a channel anew.
- A chained command (ISO/IEC 7816-4, 5.3.3) is secured as a whole, as Amendment D 6.2.4 has it.
- A channel that cannot be opened is an error: nothing is then sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from yubikit.core import TRANSPORT, Version
from yubikit.core.smartcard import AID, SW, ApduError, SmartCardConnection, SmartCardProtocol
from yubikit.core.smartcard.scp import (
    KeyRef,
    Scp03KeyParams,
    Scp11KeyParams,
    ScpKeyParams,
    ScpKid,
    StaticKeys,
)

from tokenprov.device.translate import translated
from tokenprov.errors import AuthenticationFailed, TokenRefused
from tokenprov.token import Scp03, SecureChannel
from tokenprov.token.security_domain import SCP03_KEY_SIZE

INS_SELECT, SELECT_BY_NAME = 0xA4, 0x04  # ISO/IEC 7816-4, 11.2.2
INS_GET_RESPONSE = 0xC0  # 11.7.1
INS_OATH_SEND_REMAINING = 0xA5  # the maker's OATH protocol, in the place of GET RESPONSE
CHAINING = 0x10  # bit of the class byte
FIRST_WITH_CHANNELS = Version(5, 3, 0)


class SecuredConnection(SmartCardConnection):
    """A connection whose commands are secured while `channel` is set; `plain` is the one below."""

    def __init__(self, plain: SmartCardConnection) -> None:
        self.plain = plain
        self._params: ScpKeyParams | None = None
        self._protocol: SmartCardProtocol | None = None  # to the applet that is selected
        self._is_open = False
        self._chained = b""

    @property
    def transport(self) -> TRANSPORT:
        """That of the connection below."""
        return self.plain.transport

    def secure(self, channel: SecureChannel | None) -> None:
        """From the next SELECT on, send everything through such a channel."""
        self._params = None if channel is None else parameters(channel)
        self._forget()

    def moved(self, plain: SmartCardConnection) -> None:
        """The same token is on another connection now."""
        self.plain = plain
        self._forget()

    def _forget(self) -> None:
        self._protocol, self._is_open, self._chained = None, False, b""

    def close(self) -> None:
        """Close the one below."""
        self.plain.close()

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One command and its whole answer, secured on the way."""
        if self._params is None:
            return self.plain.send_and_receive(apdu)
        command = _Command.parse(apdu)
        if command.ins == INS_SELECT and command.p1 == SELECT_BY_NAME:
            return self._select(apdu, command)
        if self._protocol is None:
            raise TokenRefused(
                "no application is selected on the token",
                remedy="Insert the token again; the work goes on where it was.",
                code=SW.CONDITIONS_NOT_SATISFIED,
            )
        if not self._is_open and command.ins == self._send_remaining:
            return self.plain.send_and_receive(apdu)  # of SELECT's answer
        if command.cla & CHAINING:
            self._chained += command.data
            return b"", SW.OK
        data, self._chained = self._chained + command.data, b""
        if not self._is_open:
            with opening():
                self._protocol.init_scp(self._params)
            self._is_open = True
        try:
            answer = self._protocol.send_apdu(
                command.cla, command.ins, command.p1, command.p2, data, command.le
            )
        except ApduError as error:
            return error.data, error.sw
        return answer, SW.OK

    def _select(self, apdu: bytes, command: _Command) -> tuple[bytes, int]:
        self._forget()
        oath = command.data.startswith(AID.OATH)
        self._send_remaining = INS_OATH_SEND_REMAINING if oath else INS_GET_RESPONSE
        self._protocol = SmartCardProtocol(self.plain, self._send_remaining)
        self._protocol.configure(FIRST_WITH_CHANNELS)
        return self.plain.send_and_receive(apdu)


def parameters(channel: SecureChannel) -> ScpKeyParams:
    """The maker's library's words for a channel."""
    if isinstance(channel, Scp03):
        keys = StaticKeys.default() if channel.keys is None else static_keys(channel.keys.reveal())
        return Scp03KeyParams(ref=KeyRef(ScpKid.SCP03, channel.version), keys=keys)
    public = load_der_public_key(channel.public_key)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise TokenRefused(
            "the token's key for secure channels is not one on an elliptic curve",
            remedy="Set it aside.",
            code=0,
        )
    return Scp11KeyParams(ref=KeyRef(ScpKid.SCP11b, channel.version), pk_sd_ecka=public)


def static_keys(value: bytes) -> StaticKeys:
    """K-ENC, K-MAC and K-DEK."""
    size = SCP03_KEY_SIZE
    return StaticKeys(value[:size], value[size : 2 * size], value[2 * size :])


@contextmanager
def opening() -> Iterator[None]:
    """Around what opens a channel: a key that is not the token's is said as that."""
    with translated("opening the secure channel"):
        try:
            yield
        except ValueError as error:  # what the library makes of a cryptogram that is wrong
            raise AuthenticationFailed(
                "opening the secure channel: the token has other keys than those that are known",
                remedy="Use another token, or reset its security domain (ykman sd reset).",
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """A command APDU, short or extended (ISO/IEC 7816-4, 5.1); `le` is 0 where it asks for all."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int = 0

    @classmethod
    def parse(cls, apdu: bytes) -> _Command:
        head, body = apdu[:4], apdu[4:]
        extended = len(body) >= 3 and body[0] == 0
        width = 2 if extended else 1
        body = body[1:] if extended else body
        if len(body) <= width:  # Le alone, or nothing
            data, rest = b"", body
        else:
            size = int.from_bytes(body[:width])
            data, rest = body[width : width + size], body[width + size :]
        le = int.from_bytes(rest)
        return cls(cla=head[0], ins=head[1], p1=head[2], p2=head[3], data=data, le=le)
