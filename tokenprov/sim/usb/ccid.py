"""The smart-card interface: CCID messages to and from one slot with a token in it (CCID 1.1).

It answers whole APDUs of extended length, cut into messages where they do not fit one (6.1.4,
wLevelParameter). Rules: a message is answered in its turn; while a command takes long, the host is
told that it goes on (time extension, 6.2.6).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from tokenprov.sim.contact import Contact, Operation, Status
from tokenprov.sim.usb.descriptors import CCID_HEAD, CCID_MESSAGE

ROOM = CCID_MESSAGE - CCID_HEAD
EXTENSION_SECONDS = 0.5  # between two time extensions; a host waits some seconds for each
# T=1 with the default speed: bmFindexDindex, bmTCCKS, bGuardTime, bWaitingIntegers, bClockStop,
# bIFSC, bNadValue (table 6.2-3)
_PARAMETERS = bytes([0x11, 0x10, 0x00, 0x15, 0x00, 0xFE, 0x00])
_T1 = 1


class Ask(IntEnum):
    """PC_to_RDR messages (table 6.1-1)."""

    SET_PARAMETERS = 0x61
    POWER_ON = 0x62
    POWER_OFF = 0x63
    SLOT_STATUS = 0x65
    ESCAPE = 0x6B
    GET_PARAMETERS = 0x6C
    RESET_PARAMETERS = 0x6D
    TRANSFER = 0x6F
    ABORT = 0x72


class Answer(IntEnum):
    """RDR_to_PC messages (table 6.2-1)."""

    DATA_BLOCK = 0x80
    SLOT_STATUS = 0x81
    PARAMETERS = 0x82
    ESCAPE = 0x83


class Icc(IntEnum):
    """bmICCStatus (table 6.2-3)."""

    ACTIVE = 0
    INACTIVE = 1
    ABSENT = 2


class Outcome(IntEnum):
    """bmCommandStatus, in its place in bStatus."""

    DONE = 0x00
    FAILED = 0x40
    TIME_EXTENSION = 0x80


class Error(IntEnum):
    """bError (table 6.2-2)."""

    NOT_SUPPORTED = 0x00
    ICC_MUTE = 0xFE
    HARDWARE = 0xFB


class Chain(IntEnum):
    """wLevelParameter (6.1.4): which part of an APDU this is."""

    WHOLE = 0x00
    BEGINS = 0x01
    ENDS = 0x02
    GOES_ON = 0x03
    EXPECTED = 0x10  # no data: the next part of the answer is asked for


_ANSWERS = {
    Ask.POWER_ON: Answer.DATA_BLOCK,
    Ask.TRANSFER: Answer.DATA_BLOCK,
    Ask.ESCAPE: Answer.ESCAPE,
    Ask.GET_PARAMETERS: Answer.PARAMETERS,
    Ask.SET_PARAMETERS: Answer.PARAMETERS,
    Ask.RESET_PARAMETERS: Answer.PARAMETERS,
}
_HEAD = struct.Struct("<BIBB3s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the host."""

    kind: int
    slot: int
    sequence: int
    specific: bytes  # three bytes, by kind
    data: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Message | None:
        """Read one; None while bytes are missing."""
        if len(raw) < _HEAD.size:
            return None
        kind, length, slot, sequence, specific = _HEAD.unpack_from(raw)
        if len(raw) < _HEAD.size + length:
            return None
        data = raw[_HEAD.size : _HEAD.size + length]
        return cls(kind=kind, slot=slot, sequence=sequence, specific=specific, data=data)

    @property
    def chain(self) -> int:
        """WLevelParameter of a transfer."""
        return int.from_bytes(self.specific[1:3], "little")

    def answered(self, data: bytes, icc: Icc, outcome: Outcome, error: int, last: int) -> bytes:
        """The answer to it; `last` is the byte before the data (bChainParameter and others)."""
        kind = _ANSWERS.get(Ask(self.kind), Answer.SLOT_STATUS) if self._known else 0x81
        status = bytes([icc | outcome, error, last])
        return _HEAD.pack(kind, len(data), self.slot, self.sequence, status) + data

    @property
    def _known(self) -> bool:
        return self.kind in set(Ask)


class CcidSlot:
    """The slot. `answer` may take as long as the token does; `extension` meanwhile."""

    def __init__(self, contact: Contact) -> None:
        self._contact = contact
        self._active = False
        self._command = b""  # parts that came
        self._rest = b""  # of the answer, still to be fetched

    @property
    def _icc(self) -> Icc:
        if not self._contact.present:
            return Icc.ABSENT
        return Icc.ACTIVE if self._active else Icc.INACTIVE

    def reset(self) -> None:
        """The bus was reset, or the token came."""
        self._active = False
        self._command = self._rest = b""

    def extension(self, message: Message) -> bytes:
        """That the command goes on, for another of the token's waiting times."""
        return message.answered(b"", self._icc, Outcome.TIME_EXTENSION, 1, 0)

    def answer(self, message: Message) -> bytes:
        """Do what a message asks for."""
        actions: dict[int, Callable[[Message], bytes]] = {
            Ask.POWER_ON: self._power_on,
            Ask.POWER_OFF: self._power_off,
            Ask.SLOT_STATUS: self._done,
            Ask.ABORT: self._done,
            Ask.GET_PARAMETERS: self._parameters,
            Ask.SET_PARAMETERS: self._parameters,
            Ask.RESET_PARAMETERS: self._parameters,
            Ask.TRANSFER: self._transfer,
        }
        action = actions.get(message.kind)
        if action is None or message.slot:
            return self._failed(message, Error.NOT_SUPPORTED)
        return action(message)

    def _done(self, message: Message, data: bytes = b"", last: int = 0) -> bytes:
        return message.answered(data, self._icc, Outcome.DONE, 0, last)

    def _failed(self, message: Message, error: Error) -> bytes:
        return message.answered(b"", self._icc, Outcome.FAILED, error, 0)

    def _power_on(self, message: Message) -> bytes:
        operation = Operation.RESET if self._active else Operation.POWER_ON
        status, atr = self._contact.operate(operation, b"")
        if status is not Status.DONE:
            return self._failed(message, Error.ICC_MUTE)
        self.reset()
        self._active = True
        return self._done(message, atr)

    def _power_off(self, message: Message) -> bytes:
        self._contact.operate(Operation.POWER_OFF, b"")
        self.reset()
        return self._done(message)

    def _parameters(self, message: Message) -> bytes:
        return self._done(message, _PARAMETERS, _T1)

    def _transfer(self, message: Message) -> bytes:
        if message.chain == Chain.EXPECTED:
            return self._part(message, Chain.GOES_ON, Chain.ENDS)
        if message.chain in (Chain.WHOLE, Chain.BEGINS):
            self._command = b""
        self._command += message.data
        if message.chain in (Chain.BEGINS, Chain.GOES_ON):
            return self._done(message, last=Chain.EXPECTED)
        if not self._active:
            return self._failed(message, Error.ICC_MUTE)
        status, answer = self._contact.operate(Operation.TRANSMIT, self._command)
        if status is not Status.DONE:
            return self._failed(message, Error.HARDWARE)
        self._rest = answer
        return self._part(message, Chain.BEGINS, Chain.WHOLE)

    def _part(self, message: Message, more: Chain, last: Chain) -> bytes:
        part, self._rest = self._rest[:ROOM], self._rest[ROOM:]
        return self._done(message, part, more if self._rest else last)
