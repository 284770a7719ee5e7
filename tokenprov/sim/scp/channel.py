"""One open secure channel: what comes in is checked and deciphered, what goes out the reverse.

Rules (Amendment D 6.2; SCP11 uses them as they are, Amendment F 6)
- Every command carries eight bytes of C-MAC over the chaining value, its header with the secure
  messaging bit, a length that counts the C-MAC, and its data as sent. All sixteen bytes of that
  CMAC are the next chaining value. The length is in the short form where it fits and the command
  was not extended; a chained command counts as one, with the length of all of it.
- Data is encrypted under a counter that counts commands, whether they have data or not.
- The answer is encrypted if there is any, under the same counter with the highest bit set, and
  carries eight bytes of R-MAC over the chaining value, itself and the status word. An error is
  answered by its status word alone; 9000, 62xx and 63xx are no errors.
- The first mistake ends the channel: the caller sees to that.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.scp.primitives import (
    BLOCK,
    cmac,
    decrypt_cbc,
    encrypt_block,
    encrypt_cbc,
    pad,
    unpad,
)
from tokenprov.sim.scp.wire import SECURE_MESSAGING

MAC_BYTES = 8  # Amendment D 6.2.4 and 6.2.5, in mode S8
SHORT_MAXIMUM = 255  # bytes of data in a short command
_RESPONSE_BIT = 0x80  # highest bit of the counter block, Amendment D 6.2.7
_WARNINGS = frozenset({0x62, 0x63})  # SW1


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKeys:
    """The keys of one session, 16 bytes each; `dek` is the one that keys are imported under."""

    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    rmac: bytes = field(repr=False)
    dek: bytes = field(repr=False)


def is_protected(sw: int) -> bool:
    """Whether an answer with this status word is secured (Amendment D 6.2.5)."""
    return sw == SW.OK or sw >> 8 in _WARNINGS


class SecureChannel:
    """A channel with these keys, from the chaining value `chain` on (16 bytes).

    `authenticated` says whether the host is known well enough to manage keys.
    """

    def __init__(self, keys: SessionKeys, chain: bytes, *, authenticated: bool) -> None:
        self.keys = keys
        self.authenticated = authenticated
        self._chain = chain
        self._counter = 0

    def verify(self, command: Command) -> bytes:
        """The data of a command less its C-MAC. Raises `Refusal` 6982 when that is wrong."""
        body, given = command.data[:-MAC_BYTES], command.data[-MAC_BYTES:]
        chain = cmac(self.keys.mac, self._chain, _header(command), body)
        if len(given) != MAC_BYTES or not hmac.compare_digest(given, chain[:MAC_BYTES]):
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        self._chain = chain
        return body

    def unwrap(self, command: Command) -> Command:
        """The command within a secured one. Raises `Refusal` 6982 when anything is wrong."""
        body = self.verify(command)
        self._counter += 1
        if body:
            try:
                body = unpad(decrypt_cbc(self.keys.enc, body, self._iv(0)))
            except ValueError:
                raise Refusal(SW.SECURITY_NOT_SATISFIED) from None
        return replace(command, cla=command.cla & ~SECURE_MESSAGING, data=body)

    def wrap(self, data: bytes, sw: int) -> bytes:
        """The data of a secured answer to the last command."""
        if data:
            data = encrypt_cbc(self.keys.enc, pad(data), self._iv(_RESPONSE_BIT))
        mac = cmac(self.keys.rmac, self._chain, data, sw.to_bytes(2))
        return data + mac[:MAC_BYTES]

    def _iv(self, first: int) -> bytes:
        counter = bytes([first]) + self._counter.to_bytes(BLOCK - 1)
        return encrypt_block(self.keys.enc, counter)


def _header(command: Command) -> bytes:
    size = len(command.data)
    short = size <= SHORT_MAXIMUM and not command.extended
    length = bytes([size]) if short else b"\0" + size.to_bytes(2)
    return bytes([command.cla, command.ins, command.p1, command.p2]) + length
