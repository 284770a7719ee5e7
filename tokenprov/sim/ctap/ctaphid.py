"""CTAPHID: messages of an authenticator in 64-byte USB reports (CTAP 2.1, 11.2).

`CtapHid.receive` takes one output report and gives the input reports that are due; it neither
waits nor has threads. What may take long is then `pending`, and `run` does it. Rules: one
transaction at a time over all channels; INIT may come at any time and ends a transaction of its own
channel that is still being received; a report on a channel that was never given, or out of order,
is an error of that channel only; a transaction that stalls for half a second is over.

While a message is pending its client is told that it goes on (`keepalive`), CANCEL on its channel
ends the wait for a touch, and every other channel is told that the token is busy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Protocol

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.apdu import Command as Apdu
from tokenprov.sim.applet import Version
from tokenprov.sim.ctap.wire import Status

REPORT_LENGTH = 64  # bytes; 11.2.8.1
BROADCAST = 0xFFFFFFFF  # 11.2.3
INIT_BIT = 0x80  # 11.2.4: the first report of a message
HEAD_LENGTH, CONTINUATION_LENGTH = 7, 5  # bytes before the data of a report; 11.2.4
MAX_MESSAGE = 7609  # bytes; 11.2.4: 64 - 7 + 128 * (64 - 5)
NONCE_LENGTH = 8
PROTOCOL_VERSION = 2  # 11.2.9.1.3
TRANSACTION_TIMEOUT = 0.5  # seconds; 11.2.5.2
MAX_LOCK = 10  # seconds; 11.2.9.2.2


class HidCommand(IntEnum):
    """Commands (CTAP 2.1, 11.2.9)."""

    PING = 0x01
    MSG = 0x03
    LOCK = 0x04
    INIT = 0x06
    WINK = 0x08
    CBOR = 0x10
    CANCEL = 0x11
    KEEPALIVE = 0x3B
    ERROR = 0x3F
    VENDOR_FIRST = 0x40
    VENDOR_LAST = 0x7F


class HidError(IntEnum):
    """Error codes (CTAP 2.1, 11.2.9.1.6)."""

    INVALID_CMD = 0x01
    INVALID_PAR = 0x02
    INVALID_LEN = 0x03
    INVALID_SEQ = 0x04
    MSG_TIMEOUT = 0x05
    CHANNEL_BUSY = 0x06
    INVALID_CHANNEL = 0x0B


class HidCapability(IntFlag):
    """Capability flags in the answer to INIT (CTAP 2.1, 11.2.9.1.3)."""

    WINK = 0x01
    CBOR = 0x04
    NMSG = 0x08


class Keepalive(IntEnum):
    """Status codes of KEEPALIVE (CTAP 2.1, 11.2.9.1.7)."""

    PROCESSING = 1
    UP_NEEDED = 2


class _Failure(Exception):
    def __init__(self, error: HidError) -> None:
        super().__init__(error.name)
        self.error = error


@dataclass(kw_only=True)
class _Transaction:
    """A message that is being received."""

    channel: int
    command: int
    length: int
    data: bytearray = field(default_factory=bytearray)
    sequence: int = 0
    since: float


@dataclass(kw_only=True)
class Message:
    """A whole message that the authenticator is to answer."""

    channel: int
    command: int
    data: bytes
    cancelled: bool = False  # nobody waits for a touch any more
    aborted: bool = False  # nor for the answer


class Authenticator(Protocol):
    """What answers the messages."""

    @property
    def has_ctap2(self) -> bool:
        """Whether it speaks CTAP2, and not only U2F."""
        ...

    @property
    def has_u2f(self) -> bool:
        """Whether there is U2F at the moment."""
        ...

    def process(self, message: bytes) -> bytes:
        """Answer one CTAP2 message."""
        ...

    def process_u2f(self, command: Apdu) -> bytes:
        """Answer one U2F message. Raises `Refusal`."""
        ...

    def process_vendor(self, command: int, data: bytes) -> bytes | None:
        """Answer a command of the maker's own (11.2.9.3); None where it is none."""
        ...


class CtapHid:
    """The FIDO interface of a token on USB."""

    def __init__(
        self,
        authenticator: Authenticator,
        version: Version,
        clock: Callable[[], float],
    ) -> None:
        self._authenticator = authenticator
        self._version = version
        self._clock = clock
        self._channels = 0
        self._transaction: _Transaction | None = None
        self._lock: tuple[int, float] | None = None  # channel, until
        self.pending: Message | None = None  # what `run` is to do, or does

    @property
    def _has_cbor(self) -> bool:
        return self._authenticator.has_ctap2

    def reset(self) -> None:
        """New power, or a reset of the bus: no channel is given any more."""
        self._channels = 0
        self._transaction = self._lock = self.pending = None

    def receive(self, report: bytes) -> list[bytes]:
        """Take an output report of 64 bytes; give the input reports that are due now."""
        late = self.expire()
        channel = int.from_bytes(report[:4], "big")
        try:
            return late + self._take(channel, report[4:REPORT_LENGTH])
        except _Failure as failure:
            return late + frames(channel, HidCommand.ERROR, bytes([failure.error]))

    def expire(self) -> list[bytes]:
        """End a transaction that stalls: its error report, or nothing."""
        stalled = self._transaction
        if stalled is None or self._clock() - stalled.since <= TRANSACTION_TIMEOUT:
            return []
        self._transaction = None
        return frames(stalled.channel, HidCommand.ERROR, bytes([HidError.MSG_TIMEOUT]))

    def keepalive(self, status: Keepalive) -> list[bytes]:
        """That the pending message goes on; nothing when there is none (11.2.9.1.7)."""
        if self.pending is None:
            return []
        return frames(self.pending.channel, HidCommand.KEEPALIVE, bytes([status]))

    def run(self) -> list[bytes]:
        """Do what is pending, however long it takes; gives its answer."""
        message = self.pending
        if message is None:
            return []
        try:
            answer = self._execute(message)
        except _Failure as failure:
            return frames(message.channel, HidCommand.ERROR, bytes([failure.error]))
        finally:
            self.pending = None
        if message.aborted:
            return []
        if message.cancelled and answer == bytes([Status.USER_ACTION_TIMEOUT]):
            answer = bytes([Status.KEEPALIVE_CANCEL])  # 11.2.9.1.5
        return frames(message.channel, message.command, answer)

    def _take(self, channel: int, report: bytes) -> list[bytes]:
        current = self._transaction
        if not report[0] & INIT_BIT:
            if current is None or current.channel != channel:
                return []  # 11.2.5.4: spurious continuations are ignored
            if report[0] != current.sequence:
                self._transaction = None
                raise _Failure(HidError.INVALID_SEQ)
            current.sequence += 1
            current.data += report[1:]
            current.since = self._clock()
            return self._finish(current)
        command = report[0] & ~INIT_BIT
        length = int.from_bytes(report[1:3], "big")
        if command == HidCommand.INIT:
            if current is not None and current.channel == channel:
                self._transaction = None
            if self.pending is not None and self.pending.channel == channel:
                self.pending.cancelled = self.pending.aborted = True
            return self._init(channel, report[3:], length)
        self._admit(channel, command, current)
        if length > MAX_MESSAGE:
            raise _Failure(HidError.INVALID_LEN)
        started = _Transaction(channel=channel, command=command, length=length, since=self._clock())
        started.data += report[3:]
        self._transaction = started
        return self._finish(started)

    def _admit(self, channel: int, command: int, current: _Transaction | None) -> None:
        """Whether a message may begin here and now."""
        if channel == BROADCAST or not 0 < channel <= self._channels:
            raise _Failure(HidError.INVALID_CHANNEL)
        if self.pending is not None and command != HidCommand.CANCEL:
            raise _Failure(HidError.CHANNEL_BUSY)
        if current is not None:
            if current.channel != channel:
                raise _Failure(HidError.CHANNEL_BUSY)
            self._transaction = None
            raise _Failure(HidError.INVALID_SEQ)
        if self._lock is not None and command != HidCommand.CANCEL:
            holder, until = self._lock
            if self._clock() >= until:
                self._lock = None
            elif holder != channel:
                raise _Failure(HidError.CHANNEL_BUSY)

    def _init(self, channel: int, data: bytes, length: int) -> list[bytes]:
        """Give a channel, or bring one back to order (11.2.9.1.3)."""
        if length != NONCE_LENGTH:
            raise _Failure(HidError.INVALID_LEN)
        if channel == BROADCAST:
            self._channels += 1
            given = self._channels
        elif 0 < channel <= self._channels:
            given = channel
        else:
            raise _Failure(HidError.INVALID_CHANNEL)
        flags = HidCapability.WINK
        if self._has_cbor:
            flags |= HidCapability.CBOR
        if not self._authenticator.has_u2f:
            flags |= HidCapability.NMSG
        answer = data[:NONCE_LENGTH] + given.to_bytes(4, "big")
        answer += bytes([PROTOCOL_VERSION, *self._version, flags])
        return frames(channel, HidCommand.INIT, answer)

    def _finish(self, transaction: _Transaction) -> list[bytes]:
        """Answer the message when it is whole, or leave it pending."""
        if len(transaction.data) < transaction.length:
            return []
        self._transaction = None
        channel, command = transaction.channel, transaction.command
        data = bytes(transaction.data[: transaction.length])
        if command == HidCommand.CANCEL:
            if self.pending is not None and self.pending.channel == channel:
                self.pending.cancelled = True
            return []
        vendor = HidCommand.VENDOR_FIRST <= command <= HidCommand.VENDOR_LAST
        if command == HidCommand.MSG or (command == HidCommand.CBOR and self._has_cbor) or vendor:
            if not data and command == HidCommand.CBOR:
                raise _Failure(HidError.INVALID_LEN)
            self.pending = Message(channel=channel, command=command, data=data)
            return []
        return frames(channel, command, self._at_once(channel, command, data))

    def _at_once(self, channel: int, command: int, data: bytes) -> bytes:
        if command == HidCommand.PING:
            return data
        if command == HidCommand.WINK:
            if data:
                raise _Failure(HidError.INVALID_LEN)
            return b""
        if command == HidCommand.LOCK:
            return self._set_lock(channel, data)
        raise _Failure(HidError.INVALID_CMD)

    def _execute(self, message: Message) -> bytes:
        if message.command == HidCommand.MSG:
            return self._u2f(message.data)
        if message.command == HidCommand.CBOR:
            return self._authenticator.process(message.data)
        answer = self._authenticator.process_vendor(message.command, message.data)
        if answer is None:
            raise _Failure(HidError.INVALID_CMD)
        return answer

    def _set_lock(self, channel: int, data: bytes) -> bytes:
        if len(data) != 1:
            raise _Failure(HidError.INVALID_LEN)
        if data[0] > MAX_LOCK:
            raise _Failure(HidError.INVALID_PAR)
        self._lock = (channel, self._clock() + data[0]) if data[0] else None
        return b""

    def _u2f(self, data: bytes) -> bytes:
        """A U2F message: an APDU with its status word behind the answer (11.2.9.1.1)."""
        try:
            answer, sw = self._authenticator.process_u2f(parse_u2f(data)), int(SW.OK)
        except Refusal as refusal:
            answer, sw = refusal.data, refusal.sw
        return answer + sw.to_bytes(2, "big")


def parse_u2f(raw: bytes) -> Apdu:
    """A U2F request APDU; over HID its length may be extended and zero (U2F Raw Messages, 3.1.3).

    Raises `Refusal` 6700.
    """
    if len(raw) in (7, 9) and raw[4:7] == bytes(3):
        return Apdu(cla=raw[0], ins=raw[1], p1=raw[2], p2=raw[3], extended=True)
    return Apdu.parse(raw)


def frames(channel: int, command: int, message: bytes) -> list[bytes]:
    """A message as reports of 64 bytes on that channel (11.2.4)."""
    head = channel.to_bytes(4, "big")
    first = REPORT_LENGTH - HEAD_LENGTH
    reports = [
        head + bytes([INIT_BIT | command]) + len(message).to_bytes(2, "big") + message[:first]
    ]
    size = REPORT_LENGTH - CONTINUATION_LENGTH
    for sequence, at in enumerate(range(first, len(message), size)):
        reports.append(head + bytes([sequence]) + message[at : at + size])
    return [report.ljust(REPORT_LENGTH, b"\0") for report in reports]
