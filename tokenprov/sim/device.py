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

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.device_tags import (
    CCID,
    DEFAULT_CHALLENGE_TIMEOUT,
    DEVICE_FLAGS_KNOWN,
    FIDO,
    FINAL_RELEASE,
    FIPS_FORM_FACTOR,
    LOCK_CODE_BYTES,
    SECURITY_KEY_FORM_FACTOR,
    USB_MODES,
    WIDTHS,
    Qualifier,
    Tag,
    bits,
    fips_bits,
    parse_tlvs,
    tlv,
)
from tokenprov.sim.models import NOTHING, Capability, Kind, Model


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
        return bool(self.usb_enabled & CCID)

    @property
    def reader_name(self) -> str:
        """The name of its reader: its own one lists the interfaces that are on."""
        if self.model.contactless:
            return self.model.reader_name
        parts = ((Capability.OTP, "OTP"), (FIDO, "FIDO"), (CCID, "CCID"))
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
        first = tlv(Tag.USB_SUPPORTED, bits(model.usb_supported))
        if self.body.serial is not None:
            first += tlv(Tag.SERIAL, self.body.serial.to_bytes(4, "big"))
        first += tlv(Tag.USB_ENABLED, bits(self.usb_enabled))
        first += tlv(Tag.FORM_FACTOR, bytes([form]))
        first += tlv(Tag.VERSION, bytes(model.version))
        first += tlv(Tag.AUTO_EJECT_TIMEOUT, self.auto_eject_timeout.to_bytes(2, "big"))
        first += tlv(Tag.CHALLENGE_TIMEOUT, bytes([self.challenge_timeout]))
        first += tlv(Tag.DEVICE_FLAGS, bytes([self.device_flags]))
        if model.nfc_supported:
            first += tlv(Tag.NFC_SUPPORTED, bits(model.nfc_supported))
            first += tlv(Tag.NFC_ENABLED, bits(self.nfc_enabled))
        first += tlv(Tag.CONFIG_LOCK, bytes([bool(self.lock_code)]))
        if model.version < (5, 7, 0):
            return [first]
        first += tlv(Tag.MORE_DATA, b"\x01")
        return [first, self._second_page()]

    def _second_page(self) -> bytes:
        model = self.model
        second = tlv(Tag.PART_NUMBER, model.part_number.encode())
        second += tlv(Tag.FIPS_CAPABLE, fips_bits(model.fips_capable))
        second += tlv(Tag.FIPS_APPROVED, fips_bits(self.fips_approved() & model.fips_capable))
        second += tlv(Tag.PIN_COMPLEXITY, bytes([model.pin_complexity]))
        second += tlv(Tag.NFC_RESTRICTED, bytes([self.nfc_restricted]))
        second += tlv(Tag.RESET_BLOCKED, bits(NOTHING))
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
            if tag in wanted or WIDTHS.get(tag) != len(value):
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
        for on, part in ((otp, Capability.OTP), (fido, FIDO), (ccid, CCID)):
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
