"""usbredir: a USB device offered over a stream, packet by packet ("USB Network Redirection protocol
description" 0.7, spice). This is the side that has the device ("usb-host"); the other one is a
virtual machine ("usb-guest").

Every packet is type, length and id, little-endian, and a header of its own with data behind it. The
id is 32 bits wide until both sides have said in their hello that they know 64. What an xHCI
controller asks for besides: the endpoints' largest packets, and lengths of 32 bits in bulk packets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

VERSION = b"tokenprov virtual token"
ENDPOINTS = 32  # 16 out, then 16 in
INTERFACES = 32
DIRECTION_IN = 0x80  # of an endpoint's address (USB 2.0, 9.6.6)
NO_ENDPOINT = 255


class Type(IntEnum):
    """Types of packet."""

    HELLO = 0
    DEVICE_CONNECT = 1
    DEVICE_DISCONNECT = 2
    RESET = 3
    INTERFACE_INFO = 4
    EP_INFO = 5
    SET_CONFIGURATION = 6
    GET_CONFIGURATION = 7
    CONFIGURATION_STATUS = 8
    SET_ALT_SETTING = 9
    GET_ALT_SETTING = 10
    ALT_SETTING_STATUS = 11
    START_INTERRUPT_RECEIVING = 15
    STOP_INTERRUPT_RECEIVING = 16
    INTERRUPT_RECEIVING_STATUS = 17
    CANCEL_DATA_PACKET = 21
    FILTER_REJECT = 22
    FILTER_FILTER = 23
    DEVICE_DISCONNECT_ACK = 24
    CONTROL_PACKET = 100
    BULK_PACKET = 101
    INTERRUPT_PACKET = 103


class Capability(IntEnum):
    """Bits of the capabilities in the hello."""

    CONNECT_DEVICE_VERSION = 1
    DEVICE_DISCONNECT_ACK = 3
    EP_INFO_MAX_PACKET_SIZE = 4
    IDS_64_BITS = 5
    BULK_LENGTH_32_BITS = 6


CAPABILITIES = frozenset(Capability)


class Status(IntEnum):
    """Status of a transfer."""

    SUCCESS = 0
    CANCELLED = 1
    INVALID = 2
    IO_ERROR = 3
    STALL = 4


class Speed(IntEnum):
    """Speed of a device."""

    FULL = 1


class Transfer(IntEnum):
    """Kind of an endpoint (USB 2.0, table 9-13)."""

    CONTROL = 0
    BULK = 2
    INTERRUPT = 3


_HELLO = struct.Struct("<64sI")
_CONTROL = struct.Struct("<BBBBHHH")
_BULK = struct.Struct("<BBHIH")
_INTERRUPT = struct.Struct("<BBH")
_CONNECT = struct.Struct("<BBBBHHH")
# The header of each type that a guest sends; what is behind it is data.
_HEADERS: Mapping[int, struct.Struct] = {
    Type.HELLO: _HELLO,
    Type.SET_CONFIGURATION: struct.Struct("<B"),
    Type.SET_ALT_SETTING: struct.Struct("<BB"),
    Type.GET_ALT_SETTING: struct.Struct("<B"),
    Type.START_INTERRUPT_RECEIVING: struct.Struct("<B"),
    Type.STOP_INTERRUPT_RECEIVING: struct.Struct("<B"),
    Type.CONTROL_PACKET: _CONTROL,
    Type.BULK_PACKET: _BULK,
    Type.INTERRUPT_PACKET: _INTERRUPT,
}


class ProtocolError(Exception):
    """What came makes no sense: the stream cannot be followed any further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One packet of the guest: its header's fields in order, and the data behind them."""

    type: int
    id: int
    fields: tuple[int, ...] = ()
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint as the guest is told of it; `interval` in frames or microframes."""

    address: int
    transfer: Transfer
    interface: int
    max_packet: int = 64
    interval: int = 0

    @property
    def index(self) -> int:
        """Its place in the lists of endpoints."""
        return (self.address & DIRECTION_IN) >> 3 | self.address & 0x0F


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """An interface's class, subclass and protocol."""

    number: int
    triple: tuple[int, int, int]


class Wire:
    """The bytes of one connection: cuts what came into packets, and makes those that go."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._peer: frozenset[int] = frozenset()
        self.greeted = False

    def has(self, capability: Capability) -> bool:
        """Whether both sides have it."""
        return capability in self._peer

    def receive(self, data: bytes) -> Iterator[Packet]:
        """Take bytes; give the packets that are whole now. Raises `ProtocolError`."""
        self._buffer += data
        while (packet := self._next()) is not None:
            if packet.type == Type.HELLO:
                self._greet(packet)
            yield packet

    def _next(self) -> Packet | None:
        head = self._head
        if len(self._buffer) < head.size:
            return None
        kind, length, number = head.unpack_from(self._buffer)
        if len(self._buffer) < head.size + length:
            return None
        body = bytes(self._buffer[head.size : head.size + length])
        del self._buffer[: head.size + length]
        header = _HEADERS.get(kind)
        if header is None:
            return Packet(type=kind, id=number, data=body)
        if kind == Type.BULK_PACKET and not self.has(Capability.BULK_LENGTH_32_BITS):
            header = struct.Struct("<BBHI")
        if len(body) < header.size:
            raise ProtocolError(f"a packet of type {kind} is too short")
        fields = header.unpack_from(body)
        if kind == Type.HELLO:
            fields = fields[1:]
        return Packet(type=kind, id=number, fields=fields, data=body[header.size :])

    @property
    def _head(self) -> struct.Struct:
        return struct.Struct("<IIQ" if self.has(Capability.IDS_64_BITS) else "<III")

    def _greet(self, hello: Packet) -> None:
        bits = hello.fields[0]
        self._peer = frozenset(one for one in CAPABILITIES if bits & 1 << one)
        self.greeted = True

    def packet(self, kind: Type, number: int, body: bytes = b"") -> bytes:
        """One packet as bytes."""
        return self._head.pack(kind, len(body), number) + body

    def hello(self) -> bytes:
        """The first packet, before the other side's is known."""
        bits = sum(1 << one for one in CAPABILITIES)
        return struct.pack("<III", Type.HELLO, _HELLO.size, 0) + _HELLO.pack(VERSION, bits)

    def connect(
        self,
        *,
        vendor: int,
        product: int,
        version: int,
        interfaces: list[Interface],
        endpoints: list[Endpoint],
    ) -> bytes:
        """The packets by which a device comes: its interfaces, its endpoints, itself."""
        return (
            self.packet(Type.INTERFACE_INFO, 0, _interface_info(interfaces))
            + self.packet(Type.EP_INFO, 0, self._endpoint_info(endpoints))
            + self.packet(
                Type.DEVICE_CONNECT, 0, _CONNECT.pack(Speed.FULL, 0, 0, 0, vendor, product, version)
            )
        )

    def _endpoint_info(self, endpoints: list[Endpoint]) -> bytes:
        kinds = [NO_ENDPOINT] * ENDPOINTS
        kinds[0] = kinds[ENDPOINTS // 2] = Transfer.CONTROL
        intervals, owners, sizes = [0] * ENDPOINTS, [0] * ENDPOINTS, [0] * ENDPOINTS
        sizes[0] = sizes[ENDPOINTS // 2] = 64
        for one in endpoints:
            kinds[one.index], intervals[one.index] = one.transfer, one.interval
            owners[one.index], sizes[one.index] = one.interface, one.max_packet
        info = bytes(kinds) + bytes(intervals) + bytes(owners)
        if self.has(Capability.EP_INFO_MAX_PACKET_SIZE):
            info += struct.pack(f"<{ENDPOINTS}H", *sizes)
        return info

    def control(self, asked: Packet, status: Status, data: bytes = b"") -> bytes:
        """The answer to a control packet; `data` is what the device gives."""
        endpoint, request, kind, _, value, index, length = asked.fields
        moved = len(data) if kind & DIRECTION_IN else length
        head = _CONTROL.pack(endpoint, request, kind, status, value, index, moved)
        return self.packet(Type.CONTROL_PACKET, asked.id, head + data)

    def bulk(self, asked: Packet, status: Status, data: bytes = b"") -> bytes:
        """The answer to a bulk packet."""
        endpoint, stream = asked.fields[0], asked.fields[3]
        moved = len(data) if endpoint & DIRECTION_IN else len(asked.data)
        body = struct.pack("<BBHI", endpoint, status, moved & 0xFFFF, stream)
        if self.has(Capability.BULK_LENGTH_32_BITS):
            body += struct.pack("<H", moved >> 16)
        return self.packet(Type.BULK_PACKET, asked.id, body + data)

    def interrupt(self, number: int, endpoint: int, status: Status, data: bytes = b"") -> bytes:
        """Data of an interrupt endpoint, or the answer to what came for one."""
        body = _INTERRUPT.pack(endpoint, status, len(data)) + data
        return self.packet(Type.INTERRUPT_PACKET, number, body)

    def answer(self, asked: Packet, kind: Type, *fields: int) -> bytes:
        """A status packet of single bytes."""
        return self.packet(kind, asked.id, bytes(fields))


def bulk_length(packet: Packet) -> int:
    """How much a bulk packet carries or asks for, in bytes."""
    low, high = packet.fields[2], packet.fields[4] if len(packet.fields) > 4 else 0
    return high << 16 | low


def _interface_info(interfaces: list[Interface]) -> bytes:
    numbers, parts = [0] * INTERFACES, [[0] * INTERFACES for _ in range(3)]
    for place, one in enumerate(interfaces):
        numbers[place] = one.number
        for part, value in zip(parts, one.triple, strict=True):
            part[place] = value
    lists = bytes(numbers) + b"".join(bytes(part) for part in parts)
    return struct.pack("<I", len(interfaces)) + lists
