"""What a token says of itself on USB: device, configuration, interface and report descriptors.

USB 2.0, 9.6; HID 1.11, 6.2 and appendices B and E; CTAP 2.1, 11.2.8; CCID 1.1, 5.1. Which product
it is depends on the interfaces that are on, as the maker has it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag

from tokenprov.sim.device_tags import CCID, FIDO
from tokenprov.sim.models import Capability
from tokenprov.sim.usb.redir import Endpoint, Interface, Transfer

YUBICO = 0x1050
ENGLISH = 0x0409  # the one language of its strings


class Descriptor(IntEnum):
    """Types of descriptor (USB 2.0, table 9-5; HID 1.11, 7.1)."""

    DEVICE = 1
    CONFIGURATION = 2
    STRING = 3
    INTERFACE = 4
    ENDPOINT = 5
    HID = 0x21
    REPORT = 0x22
    CCID = 0x21  # the class's own, as HID's is


class Text(IntEnum):
    """The strings, by index."""

    LANGUAGES = 0
    MAKER = 1
    PRODUCT = 2


class Part(Enum):
    """An interface of the composite device: the word for it, and its endpoints' addresses."""

    OTP = ("OTP", (0x81,))
    FIDO = ("FIDO", (0x04, 0x84))
    CCID = ("CCID", (0x02, 0x82, 0x83))

    def __init__(self, word: str, endpoints: tuple[int, ...]) -> None:
        self.word = word  # in the product's name
        self.endpoints = endpoints


_PRODUCTS = {  # the maker's product numbers
    (Part.OTP,): 0x0401,
    (Part.FIDO,): 0x0402,
    (Part.OTP, Part.FIDO): 0x0403,
    (Part.CCID,): 0x0404,
    (Part.OTP, Part.CCID): 0x0405,
    (Part.FIDO, Part.CCID): 0x0406,
    (Part.OTP, Part.FIDO, Part.CCID): 0x0407,
}
_TRIPLES = {  # class, subclass, protocol
    Part.OTP: (0x03, 0x01, 0x01),  # HID, boot interface, keyboard
    Part.FIDO: (0x03, 0x00, 0x00),
    Part.CCID: (0x0B, 0x00, 0x00),
}


class Ep(IntEnum):
    """Addresses of endpoints."""

    KEYS_IN = 0x81
    CCID_OUT = 0x02
    CCID_IN = 0x82
    CCID_EVENTS = 0x83
    FIDO_OUT = 0x04
    FIDO_IN = 0x84


_INTERVALS = {  # milliseconds between polls
    Ep.KEYS_IN: 10,
    Ep.FIDO_OUT: 2,
    Ep.FIDO_IN: 2,
    Ep.CCID_EVENTS: 32,
}
_SIZES = {Ep.KEYS_IN: 8, Ep.CCID_EVENTS: 8}
_BULK = {Ep.CCID_OUT, Ep.CCID_IN}

# A boot keyboard (HID 1.11, B.1 and E.6) with a feature report of eight bytes beside it.
KEYBOARD_REPORTS = bytes.fromhex(
    "05010906a101050719e029e71500250175019508810295017508810195057501050819012905910295017503"
    "9101950675081500256505071900296581000903750895 08b102c0".replace(" ", "")
)
# CTAP 2.1, 11.2.8.2: usage page F1D0, reports of 64 bytes each way
FIDO_REPORTS = bytes.fromhex("06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0")
REPORTS = {Part.OTP: KEYBOARD_REPORTS, Part.FIDO: FIDO_REPORTS}


class CcidFeature(IntFlag):
    """dwFeatures (CCID 1.1, table 5.1-1)."""

    AUTOMATIC_PARAMETERS = 0x02
    AUTOMATIC_ACTIVATION = 0x04
    AUTOMATIC_VOLTAGE = 0x08
    AUTOMATIC_CLOCK = 0x10
    AUTOMATIC_BAUD_RATE = 0x20
    AUTOMATIC_NEGOTIATION = 0x40
    AUTOMATIC_PPS = 0x80
    EXTENDED_APDUS = 0x00040000


CCID_MESSAGE = 3072  # bytes of the longest message, with its head
CCID_HEAD = 10
_CCID_FEATURES = CcidFeature(0x000400FE)
_T1 = 2  # bit of dwProtocols


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The composite device with the interfaces that are on."""

    parts: tuple[Part, ...]
    version: tuple[int, int, int]

    @classmethod
    def of(cls, enabled: Capability, version: tuple[int, int, int]) -> Layout:
        """That of a token with these capabilities switched on over USB."""
        on = ((Part.OTP, Capability.OTP), (Part.FIDO, FIDO), (Part.CCID, CCID))
        return cls(parts=tuple(part for part, bits in on if bits & enabled), version=version)

    @property
    def product(self) -> int:
        """The product number. Raises `KeyError` where no interface is on."""
        return _PRODUCTS[self.parts]

    @property
    def release(self) -> int:
        """BcdDevice."""
        major, minor, patch = self.version
        return major << 8 | minor << 4 | patch

    @property
    def name(self) -> str:
        """The product's name."""
        return "YubiKey " + "+".join(part.word for part in self.parts)

    def number(self, part: Part) -> int:
        """The number of an interface."""
        return self.parts.index(part)

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces, for the guest."""
        return [Interface(number=n, triple=_TRIPLES[part]) for n, part in enumerate(self.parts)]

    @property
    def endpoints(self) -> list[Endpoint]:
        """The endpoints, for the guest."""
        return [
            Endpoint(
                address=address,
                transfer=Transfer.BULK if address in _BULK else Transfer.INTERRUPT,
                interface=number,
                max_packet=_SIZES.get(Ep(address), 64),
                interval=_INTERVALS.get(Ep(address), 0),
            )
            for number, part in enumerate(self.parts)
            for address in part.endpoints
        ]

    # --- descriptors -----------------------------------------------------------------------

    def descriptor(self, kind: int, index: int, interface: int) -> bytes | None:
        """A descriptor that a host asks for; None where there is none."""
        if kind == Descriptor.DEVICE:
            return self.device()
        if kind == Descriptor.CONFIGURATION and index == 0:
            return self.configuration()
        if kind == Descriptor.STRING:
            return self.text(index)
        part = self.parts[interface] if interface < len(self.parts) else None
        if part not in REPORTS:
            return None
        if kind == Descriptor.REPORT:
            return REPORTS[part]
        return _hid(REPORTS[part]) if kind == Descriptor.HID else None

    def device(self) -> bytes:
        """The device descriptor (USB 2.0, 9.6.1)."""
        head = struct.pack("<BBHBBBB", 18, Descriptor.DEVICE, 0x0200, 0, 0, 0, 64)
        ids = struct.pack("<HHH", YUBICO, self.product, self.release)
        return head + ids + bytes([Text.MAKER, Text.PRODUCT, 0, 1])

    def configuration(self) -> bytes:
        """The one configuration, with all that belongs to it (9.6.3)."""
        body = b"".join(self._interface(number) for number in range(len(self.parts)))
        powered_by_bus, milliamperes = 0x80, 30
        return (
            struct.pack(
                "<BBHBBBBB",
                9,
                Descriptor.CONFIGURATION,
                9 + len(body),
                len(self.parts),
                1,
                0,
                powered_by_bus,
                milliamperes // 2,
            )
            + body
        )

    def _interface(self, number: int) -> bytes:
        part = self.parts[number]
        endpoints = [one for one in self.endpoints if one.interface == number]
        made = bytes([9, Descriptor.INTERFACE, number, 0, len(endpoints), *_TRIPLES[part], 0])
        made += _hid(REPORTS[part]) if part in REPORTS else _ccid()
        for one in endpoints:
            made += struct.pack(
                "<BBBBHB",
                7,
                Descriptor.ENDPOINT,
                one.address,
                one.transfer,
                one.max_packet,
                one.interval,
            )
        return made

    def text(self, index: int) -> bytes | None:
        """A string descriptor (9.6.7)."""
        texts = {Text.MAKER: "Yubico", Text.PRODUCT: self.name}
        if index == Text.LANGUAGES:
            body = struct.pack("<H", ENGLISH)
        elif index in texts:
            body = texts[Text(index)].encode("utf-16-le")
        else:
            return None
        return bytes([2 + len(body), Descriptor.STRING]) + body


def _hid(reports: bytes) -> bytes:
    """HID 1.11, 6.2.1."""
    return struct.pack("<BBHBBBH", 9, Descriptor.HID, 0x0110, 0, 1, Descriptor.REPORT, len(reports))


def _ccid() -> bytes:
    """CCID 1.1, table 5.1-1: one slot, T=1, whole APDUs of extended length."""
    return struct.pack(
        "<BBHBBIIIBIIBIIIIIBBHBB",
        54,
        Descriptor.CCID,
        0x0110,
        0,  # the highest slot
        0x07,  # 5, 3 and 1.8 V
        _T1,
        4000,  # kHz
        4000,
        0,
        10752,  # bits a second
        10752,
        0,
        CCID_MESSAGE - CCID_HEAD,  # IFSD
        0,
        0,
        _CCID_FEATURES,
        CCID_MESSAGE,
        0xFF,  # the class for GET RESPONSE: as the command's
        0xFF,
        0,  # no display
        0,  # no keypad
        1,  # one slot busy at a time
    )
