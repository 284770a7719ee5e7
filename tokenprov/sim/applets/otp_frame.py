"""The frames that the OTP applet takes and gives: configuration, checksum, keystrokes.

Source: "YubiKey Manual" 3.4 (configuration structure, flags, OTP format) and ISO/IEC 13239 for
the checksum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntFlag

from tokenprov.sim.apdu import SW, Refusal

FIXED_BYTES = 16
UID_BYTES = 6
KEY_BYTES = 16
ACCESS_BYTES = 6
CONFIG_BYTES = 52
CRC_RESIDUE = 0xF0B8  # what the checksum over data and its checksum comes to
MODHEX = "cbdefghijklnrtuv"


class Ticket(IntFlag):
    """Ticket flags (tktFlags)."""

    TAB_FIRST = 0x01
    APPEND_TAB1 = 0x02
    APPEND_TAB2 = 0x04
    APPEND_DELAY1 = 0x08
    APPEND_DELAY2 = 0x10
    APPEND_CR = 0x20
    OATH_HOTP = 0x40  # also: challenge-response, together with the flags of `Config`
    PROTECT_CFG2 = 0x80


class Config(IntFlag):
    """Configuration flags (cfgFlags); several have two meanings, by the kind of the slot."""

    SEND_REF = 0x01
    SHORT_TICKET = 0x02  # HOTP: eight digits
    PACING_10MS = 0x04  # HMAC: challenges under 64 bytes
    PACING_20MS = 0x08  # challenge-response: touch needed
    STRONG_PW1 = 0x10  # HOTP: first byte of the token identifier in modhex
    STATIC_TICKET = 0x20
    STRONG_PW2 = 0x40  # HOTP: first two bytes of the token identifier in modhex
    MAN_UPDATE = 0x80


OATH_HOTP8 = Config.SHORT_TICKET
HMAC_LT64 = Config.PACING_10MS
CHALLENGE_TOUCH = Config.PACING_20MS
CHALLENGE_YUBICO = Config.STATIC_TICKET
CHALLENGE_HMAC = Config.STATIC_TICKET | Config.SHORT_TICKET
FIXED_MODHEX1 = Config.STRONG_PW1
FIXED_MODHEX2 = Config.STRONG_PW2


class Extended(IntFlag):
    """Extended flags (extFlags)."""

    SERIAL_BUTTON_VISIBLE = 0x01
    SERIAL_USB_VISIBLE = 0x02
    SERIAL_API_VISIBLE = 0x04
    USE_NUMERIC_KEYPAD = 0x08
    FAST_TRIGGER = 0x10
    ALLOW_UPDATE = 0x20
    DORMANT = 0x40
    LED_INVERTED = 0x80


TICKET_UPDATABLE = 0x3F  # tabs, delays, CR
CONFIG_UPDATABLE = Config.PACING_10MS | Config.PACING_20MS
EXTENDED_UPDATABLE = 0xFF


def crc16(data: bytes) -> int:
    """The frame check sequence of ISO/IEC 13239 (before its final inversion)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return crc


def with_crc(data: bytes) -> bytes:
    """The data and its inverted checksum, low byte first."""
    return data + (~crc16(data) & 0xFFFF).to_bytes(2, "little")


def modhex(data: bytes) -> str:
    """Modified hexadecimal: the same keys on every keyboard layout."""
    return "".join(MODHEX[byte >> 4] + MODHEX[byte & 15] for byte in data)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotConfig:
    """What one slot was configured with. `fixed` has its length; the rest is as on the wire."""

    fixed: bytes  # 16 bytes
    fixed_length: int
    uid: bytes
    key: bytes
    access: bytes
    extended: Extended
    ticket: Ticket
    config: Config

    @classmethod
    def parse(cls, frame: bytes) -> SlotConfig:
        """Read a configuration of 52 bytes. Raises `Refusal` 6A80 for a wrong one."""
        if len(frame) != CONFIG_BYTES or crc16(frame) != CRC_RESIDUE:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        length, extended, ticket, config = frame[44:48]
        if length > FIXED_BYTES or frame[48:50] != b"\0\0":
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return cls(
            fixed=frame[:16],
            fixed_length=length,
            uid=frame[16:22],
            key=frame[22:38],
            access=frame[38:44],
            extended=Extended(extended),
            ticket=Ticket(ticket),
            config=Config(config),
        )

    def frame(self) -> bytes:
        """The configuration on the wire."""
        flags = bytes([self.fixed_length, self.extended, self.ticket, self.config, 0, 0])
        return with_crc(self.fixed + self.uid + self.key + self.access + flags)

    def updated(self, other: SlotConfig) -> SlotConfig:
        """This configuration with the flags of an update, and with its access code."""
        ticket = (self.ticket & ~TICKET_UPDATABLE) | (other.ticket & TICKET_UPDATABLE)
        config = (self.config & ~CONFIG_UPDATABLE) | (other.config & CONFIG_UPDATABLE)
        if self.is_challenge:
            config = self.config
        return replace(
            self,
            access=other.access,
            extended=Extended(other.extended & EXTENDED_UPDATABLE),
            ticket=Ticket(ticket),
            config=Config(config),
        )

    @property
    def is_challenge(self) -> bool:
        """Whether it answers challenges instead of typing."""
        return bool(self.ticket & Ticket.OATH_HOTP and self.config & CHALLENGE_YUBICO)

    @property
    def is_hmac(self) -> bool:
        """Whether it answers HMAC-SHA1 challenges."""
        return self.is_challenge and self.config & CHALLENGE_HMAC == CHALLENGE_HMAC

    @property
    def is_hotp(self) -> bool:
        """Whether it types OATH HOTP codes."""
        return bool(self.ticket & Ticket.OATH_HOTP) and not self.is_challenge

    @property
    def is_static(self) -> bool:
        """Whether it types scan codes."""
        return (
            not self.ticket & Ticket.OATH_HOTP
            and bool(self.config & Config.SHORT_TICKET)
            and not self.config & Config.STATIC_TICKET
        )

    @property
    def secret20(self) -> bytes:
        """The HMAC key: 16 bytes in the key field, 4 in the private identifier."""
        return self.key + self.uid[:4]

    @property
    def dormant(self) -> bool:
        """Whether it sleeps until an update wakes it."""
        return bool(self.extended & Extended.DORMANT)
