"""The device configuration of a YubiKey: what it is, and what is switched on.

Management and OTP applet share one `Device`. It is read in pages of TLVs with a length byte before
them, and written as TLVs likewise (YubiKey management interface, "Device information" and "Write
device configuration"). Rules:

- A lock code of 16 bytes guards every write; sixteen zero bytes take it away.
- Only what the hardware has can be switched on; at least one USB application stays on.
- `NFC restricted` (5.7) holds until the next power over USB.
- Firmware 4 knows a USB mode instead, and a short information.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from hmac import compare_digest
from typing import Any

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.models import NOTHING, Capability, Kind, Model


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
_FIDO = Capability.U2F | Capability.FIDO2
_CCID = Capability.CCID | Capability.OATH | Capability.PIV | Capability.OPENPGP | Capability.HSMAUTH
_WIDTHS: dict[int, int] = {
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


@dataclass(kw_only=True)
class Device:
    """The device configuration of one YubiKey.

    `reboot` restarts the token; `fips_approved` asks its applets which are in approved mode.
    """

    body: Body
    model: Model
    reboot: Callable[[], None]
    fips_approved: Callable[[], Capability]
    usb_enabled: Capability = field(init=False)
    nfc_enabled: Capability = field(init=False)
    lock_code: bytes = b""
    auto_eject_timeout: int = 0  # seconds
    challenge_timeout: int = DEFAULT_CHALLENGE_TIMEOUT  # seconds
    device_flags: int = 0
    nfc_restricted: bool = False

    def __post_init__(self) -> None:
        self.usb_enabled = self.model.usb_supported
        self.nfc_enabled = self.model.nfc_supported

    # --- the USB interfaces ----------------------------------------------------------------

    @property
    def has_ccid(self) -> bool:
        """Whether the smart-card interface is there."""
        return bool(self.usb_enabled & _CCID)

    @property
    def reader_name(self) -> str:
        """The name of its reader: its own one lists the interfaces that are on."""
        if self.model.contactless:
            return self.model.reader_name
        parts = ((Capability.OTP, "OTP"), (_FIDO, "FIDO"), (_CCID, "CCID"))
        on = "+".join(name for bits, name in parts if bits & self.usb_enabled)
        return f"{self.model.reader_name.rpartition(' ')[0]} {on}"

    # --- reading ---------------------------------------------------------------------------

    def page(self, number: int) -> bytes:
        """A page of the device information with its length byte. Raises `Refusal` 6A86."""
        pages = self._pages()
        if not 0 <= number < len(pages):
            raise Refusal(SW.WRONG_P1P2)
        content = pages[number]
        return bytes([len(content)]) + content

    def _pages(self) -> list[bytes]:
        model = self.model
        if model.version < (5, 0, 0):
            return [self._firmware_4()]
        form = model.form_factor.value
        if model.fips:
            form |= FIPS_FORM_FACTOR
        if model.kind is Kind.SECURITY_KEY:
            form |= SECURITY_KEY_FORM_FACTOR
        first = tlv(Tag.USB_SUPPORTED, _bits(model.usb_supported))
        if self.body.serial is not None:
            first += tlv(Tag.SERIAL, self.body.serial.to_bytes(4, "big"))
        first += tlv(Tag.USB_ENABLED, _bits(self.usb_enabled))
        first += tlv(Tag.FORM_FACTOR, bytes([form]))
        first += tlv(Tag.VERSION, bytes(model.version))
        first += tlv(Tag.AUTO_EJECT_TIMEOUT, self.auto_eject_timeout.to_bytes(2, "big"))
        first += tlv(Tag.CHALLENGE_TIMEOUT, bytes([self.challenge_timeout]))
        first += tlv(Tag.DEVICE_FLAGS, bytes([self.device_flags]))
        if model.nfc_supported:
            first += tlv(Tag.NFC_SUPPORTED, _bits(model.nfc_supported))
            first += tlv(Tag.NFC_ENABLED, _bits(self.nfc_enabled))
        first += tlv(Tag.CONFIG_LOCK, bytes([bool(self.lock_code)]))
        if model.version < (5, 7, 0):
            return [first]
        first += tlv(Tag.MORE_DATA, b"\x01")
        return [first, self._second_page()]

    def _second_page(self) -> bytes:
        model = self.model
        second = tlv(Tag.PART_NUMBER, model.part_number.encode())
        second += tlv(Tag.FIPS_CAPABLE, _fips_bits(model.fips_capable))
        second += tlv(Tag.FIPS_APPROVED, _fips_bits(self.fips_approved() & model.fips_capable))
        second += tlv(Tag.PIN_COMPLEXITY, bytes([model.pin_complexity]))
        second += tlv(Tag.NFC_RESTRICTED, bytes([self.nfc_restricted]))
        second += tlv(Tag.RESET_BLOCKED, _bits(NOTHING))
        if model.version >= (5, 7, 4):
            qualifier = tlv(Qualifier.VERSION, bytes(model.version))
            qualifier += tlv(Qualifier.TYPE, bytes([FINAL_RELEASE]))
            qualifier += tlv(Qualifier.ITERATION, bytes(4))
            second += tlv(Tag.VERSION_QUALIFIER, qualifier)
        return second

    def _firmware_4(self) -> bytes:
        content = tlv(Tag.USB_SUPPORTED, bytes([self.model.usb_supported & 0xFF]))
        if self.body.serial is not None:
            content += tlv(Tag.SERIAL, self.body.serial.to_bytes(4, "big"))
        return content + tlv(Tag.USB_ENABLED, bytes([self.usb_enabled & 0xFF]))

    # --- writing ---------------------------------------------------------------------------

    def write(self, raw: bytes) -> None:
        """Take a configuration with its length byte; all of it or nothing.

        Raises `Refusal`: 6A80 for what is malformed or impossible, 6982 for a lock code that is
        missing or wrong.
        """
        if self.model.version < (5, 0, 0):
            raise Refusal(SW.INVALID_INSTRUCTION)
        if not raw or raw[0] != len(raw) - 1:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        wanted: dict[int, bytes] = {}
        for tag, value in parse_tlvs(raw[1:]):
            if tag in wanted or _WIDTHS.get(tag) != len(value):
                raise Refusal(SW.INCORRECT_PARAMETERS)
            wanted[tag] = value
        given = wanted.get(Tag.UNLOCK, b"")
        if self.lock_code and not compare_digest(given, self.lock_code):
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        self._apply(wanted)
        self.body.save()
        if Tag.REBOOT in wanted:
            self.reboot()

    def _apply(self, wanted: dict[int, bytes]) -> None:
        usb, nfc = self.usb_enabled, self.nfc_enabled
        if Tag.USB_ENABLED in wanted:
            usb = Capability(int.from_bytes(wanted[Tag.USB_ENABLED], "big"))
            usb &= self.model.usb_supported
            if not usb & ~Capability.CCID:
                raise Refusal(SW.INCORRECT_PARAMETERS)
        if Tag.NFC_ENABLED in wanted:
            nfc = Capability(int.from_bytes(wanted[Tag.NFC_ENABLED], "big"))
            nfc &= self.model.nfc_supported
        flags = wanted.get(Tag.DEVICE_FLAGS, bytes([self.device_flags]))[0]
        if flags & ~DEVICE_FLAGS_KNOWN:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if Tag.NFC_RESTRICTED in wanted:
            if self.model.version < (5, 7, 0) or not self.model.nfc_supported:
                raise Refusal(SW.INCORRECT_PARAMETERS)
            self.nfc_restricted = wanted[Tag.NFC_RESTRICTED] == b"\x01"
        self.usb_enabled, self.nfc_enabled, self.device_flags = usb, nfc, flags
        if Tag.AUTO_EJECT_TIMEOUT in wanted:
            self.auto_eject_timeout = int.from_bytes(wanted[Tag.AUTO_EJECT_TIMEOUT], "big")
        if Tag.CHALLENGE_TIMEOUT in wanted:
            self.challenge_timeout = wanted[Tag.CHALLENGE_TIMEOUT][0]
        if Tag.CONFIG_LOCK in wanted:
            code = wanted[Tag.CONFIG_LOCK]
            self.lock_code = b"" if code == bytes(LOCK_CODE_BYTES) else code

    def set_mode(self, data: bytes) -> None:
        """Set the USB mode of firmware 4: mode, challenge timeout, auto-eject timeout (LE)."""
        if len(data) not in (1, 2, 4) or data[0] & 0x07 >= len(USB_MODES):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if self.lock_code:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        otp, fido, ccid = USB_MODES[data[0] & 0x07]
        enabled = NOTHING
        for on, part in ((otp, Capability.OTP), (fido, _FIDO), (ccid, _CCID)):
            enabled |= part if on else NOTHING
        self.usb_enabled = enabled & self.model.usb_supported
        self.device_flags = data[0] & DEVICE_FLAGS_KNOWN & 0x80
        if len(data) > 1:
            self.challenge_timeout = data[1]
        if len(data) == 4:
            self.auto_eject_timeout = int.from_bytes(data[2:4], "little")
        self.body.save()
        self.reboot()

    def power_up(self) -> None:
        """Power over USB lifts the NFC restriction."""
        if self.nfc_restricted:
            self.nfc_restricted = False
            self.body.save()

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "usb_enabled": int(self.usb_enabled),
            "nfc_enabled": int(self.nfc_enabled),
            "lock_code": self.lock_code.hex(),
            "auto_eject_timeout": self.auto_eject_timeout,
            "challenge_timeout": self.challenge_timeout,
            "device_flags": self.device_flags,
            "nfc_restricted": self.nfc_restricted,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state."""
        self.usb_enabled = Capability(state["usb_enabled"])
        self.nfc_enabled = Capability(state["nfc_enabled"])
        self.lock_code = bytes.fromhex(state["lock_code"])
        self.auto_eject_timeout = state["auto_eject_timeout"]
        self.challenge_timeout = state["challenge_timeout"]
        self.device_flags = state["device_flags"]
        self.nfc_restricted = state["nfc_restricted"]


def _bits(capabilities: Capability) -> bytes:
    return int(capabilities).to_bytes(2, "big")


def _fips_bits(capabilities: Capability) -> bytes:
    """The order of bits that the FIPS fields use, which is another than everywhere else."""
    return sum(1 << n for n, bit in enumerate(FIPS_BITS) if bit & capabilities).to_bytes(2, "big")
