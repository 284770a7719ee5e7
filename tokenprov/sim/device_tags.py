"""Tags, lengths and bit fields of the device information and configuration of a YubiKey.

Source: the maker's management interface ("Device information", "Write device configuration").
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.models import Capability


class Tag(IntEnum):
    """Tags of the device information and configuration."""

    USB_SUPPORTED = 0x01
    SERIAL = 0x02
    USB_ENABLED = 0x03
    FORM_FACTOR = 0x04
    VERSION = 0x05
    AUTO_EJECT_TIMEOUT = 0x06  # seconds, 2 bytes
    CHALLENGE_TIMEOUT = 0x07  # seconds, 1 byte
    DEVICE_FLAGS = 0x08
    CONFIG_LOCK = 0x0A
    UNLOCK = 0x0B
    REBOOT = 0x0C
    NFC_SUPPORTED = 0x0D
    NFC_ENABLED = 0x0E
    MORE_DATA = 0x10
    PART_NUMBER = 0x13
    FIPS_CAPABLE = 0x14
    FIPS_APPROVED = 0x15
    PIN_COMPLEXITY = 0x16
    NFC_RESTRICTED = 0x17
    RESET_BLOCKED = 0x18
    VERSION_QUALIFIER = 0x19


class Qualifier(IntEnum):
    """Tags inside the version qualifier."""

    VERSION = 0x01
    TYPE = 0x02
    ITERATION = 0x03


FINAL_RELEASE = 2
FIPS_FORM_FACTOR = 0x80
SECURITY_KEY_FORM_FACTOR = 0x40
LOCK_CODE_BYTES = 16
DEVICE_FLAGS_KNOWN = 0xC0  # remote wake-up 0x40, touch eject 0x80
DEFAULT_CHALLENGE_TIMEOUT = 15  # seconds
FIPS_BITS = (
    Capability.FIDO2,
    Capability.PIV,
    Capability.OPENPGP,
    Capability.OATH,
    Capability.HSMAUTH,
)
# What each USB mode of firmware 4 switches on: OTP, FIDO, CCID (YubiKey 4 manual, "USB mode").
USB_MODES = (
    (True, False, False),
    (False, False, True),
    (True, False, True),
    (False, True, False),
    (True, True, False),
    (False, True, True),
    (True, True, True),
)
FIDO = Capability.U2F | Capability.FIDO2
CCID = Capability.CCID | Capability.OATH | Capability.PIV | Capability.OPENPGP | Capability.HSMAUTH
WIDTHS: dict[int, int] = {
    Tag.USB_ENABLED: 2,
    Tag.NFC_ENABLED: 2,
    Tag.AUTO_EJECT_TIMEOUT: 2,
    Tag.CHALLENGE_TIMEOUT: 1,
    Tag.DEVICE_FLAGS: 1,
    Tag.CONFIG_LOCK: LOCK_CODE_BYTES,
    Tag.UNLOCK: LOCK_CODE_BYTES,
    Tag.REBOOT: 0,
    Tag.NFC_RESTRICTED: 1,
}


def tlv(tag: int, value: bytes) -> bytes:
    """One TLV with one byte of tag and one of length."""
    return bytes([tag, len(value)]) + value


def parse_tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Read TLVs of one-byte tags and lengths. Raises `Refusal` 6A80 for a length that lies."""
    while data:
        if len(data) < 2 or len(data) < 2 + data[1]:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        yield data[0], data[2 : 2 + data[1]]
        data = data[2 + data[1] :]


def bits(capabilities: Capability) -> bytes:
    """Two bytes of capability bits."""
    return int(capabilities).to_bytes(2, "big")


def fips_bits(capabilities: Capability) -> bytes:
    """The order of bits that the FIPS fields use, which is another than everywhere else."""
    return sum(1 << n for n, bit in enumerate(FIPS_BITS) if bit & capabilities).to_bytes(2, "big")
