"""The OTP applet of a YubiKey over CCID: two slots, written, updated, swapped and asked.

Source: "YubiKey Manual" 3.4 and the maker's host libraries' description of the frames. Rules:

- A slot with an access code is changed by nobody without it; deleting is writing zeros.
- An update changes flags and access code only, and only where ALLOW_UPDATE is set.
- Each change moves the programming sequence by one; with both slots empty it is zero.
- The serial is answered while no slot is configured, or where a slot makes it visible.
- A factory-fresh key has a Yubico OTP credential in slot 1, whose public identity is `cc…` in
  modhex and whose secrets nobody can read.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum, IntFlag
from typing import Any

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.applets.otp_frame import (
    ACCESS_BYTES,
    CHALLENGE_TOUCH,
    CONFIG_BYTES,
    HMAC_LT64,
    Config,
    Extended,
    SlotConfig,
    Ticket,
    with_crc,
)
from tokenprov.sim.applets.otp_typing import Moment, otp_block, typed
from tokenprov.sim.device import Device
from tokenprov.sim.models import Model

AID = bytes.fromhex("a000000527200101")
NDEF_BYTES = 56  # length, type, 54 bytes of record
SCAN_MAP_BYTES = 45
HMAC_CHALLENGE_BYTES = 64
YUBICO_CHALLENGE_BYTES = 6
TICKS_PER_SECOND = 8
FACTORY_PREFIX = b"\x00\x00"  # "cccc" in modhex; the serial follows
MAX_USAGE = 0x7FFF  # the usage counter stops here
NO_ACCESS_CODE = bytes(ACCESS_BYTES)


class Ins(IntEnum):
    """Instructions of the applet."""

    REQUEST = 0x01
    STATUS = 0x03


class Request(IntEnum):
    """P1 of a request: what the frame is for."""

    CONFIG_1 = 0x01
    CONFIG_2 = 0x03
    UPDATE_1 = 0x04
    UPDATE_2 = 0x05
    SWAP = 0x06
    NDEF_1 = 0x08
    NDEF_2 = 0x09
    SERIAL = 0x10
    DEVICE_CONFIG = 0x11
    SCAN_MAP = 0x12
    READ_DEVICE_INFO = 0x13
    WRITE_DEVICE_INFO = 0x15
    OTP_CHALLENGE_1 = 0x20
    OTP_CHALLENGE_2 = 0x28
    HMAC_CHALLENGE_1 = 0x30
    HMAC_CHALLENGE_2 = 0x38


_SECOND_SLOT = frozenset(
    {
        Request.CONFIG_2,
        Request.UPDATE_2,
        Request.NDEF_2,
        Request.OTP_CHALLENGE_2,
        Request.HMAC_CHALLENGE_2,
    }
)


class TouchLevel(IntFlag):
    """Low byte of the touch level in the status."""

    SLOT_1_VALID = 0x01
    SLOT_2_VALID = 0x02
    SLOT_1_TOUCH = 0x04
    SLOT_2_TOUCH = 0x08
    LED_INVERTED = 0x10


class OtpApplet:
    """The OTP applet."""

    name = "otp"
    aid = AID

    def __init__(self, body: Body, model: Model, device: Device) -> None:
        self._body = body
        self._model = model
        self._device = device
        self._slots: list[SlotConfig | None] = [None, None]
        self._moving = [0, 0]  # HOTP moving factors
        self._usage = [0, 0]
        self._session = [0, 0]
        self._sequence = 0
        self._ndef: list[bytes] = [b"", b""]
        self._scan_map = b""
        self._ticks = 0
        if body.serial is not None:
            self._slots[0] = self._factory_slot(body.serial)
            self._sequence = 1

    def _factory_slot(self, serial: int) -> SlotConfig:
        public = FACTORY_PREFIX + serial.to_bytes(4, "big")
        return SlotConfig(
            fixed=public.ljust(16, b"\0"),
            fixed_length=len(public),
            uid=self._body.random(6),
            key=self._body.random(16),
            access=NO_ACCESS_CODE,
            extended=Extended.SERIAL_API_VISIBLE | Extended.ALLOW_UPDATE | Extended.FAST_TRIGGER,
            ticket=Ticket.APPEND_CR,
            config=Config(0),
        )

    # --- the applet's frame ----------------------------------------------------------------

    def select(self) -> bytes:
        """The status."""
        return self.status()

    def deselect(self) -> None:
        """It holds nothing while selected."""

    def power_up(self) -> None:
        """Session counters start again, and the timestamp at a random place."""
        self._session = [0, 0]
        self._ticks = int.from_bytes(self._body.random(3), "big")

    def process(self, command: Command) -> bytes:
        """Answer one command."""
        if command.cla != 0:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        if command.ins == Ins.STATUS:
            return self.status()
        if command.ins != Ins.REQUEST:
            raise Refusal(SW.INVALID_INSTRUCTION)
        if command.p2:
            raise Refusal(SW.WRONG_P1P2)
        try:
            request = Request(command.p1)
        except ValueError:
            raise Refusal(SW.WRONG_P1P2) from None
        return self._request(request, command.data)

    def _request(self, request: Request, data: bytes) -> bytes:
        index = 1 if request in _SECOND_SLOT else 0
        match request:
            case Request.CONFIG_1 | Request.CONFIG_2:
                self._write(index, data)
            case Request.UPDATE_1 | Request.UPDATE_2:
                self._update(index, data)
            case Request.SWAP:
                self._swap(data)
            case Request.NDEF_1 | Request.NDEF_2:
                self._write_ndef(index, data)
            case Request.SCAN_MAP:
                self._write_scan_map(data)
            case Request.SERIAL:
                return self._serial()
            case Request.DEVICE_CONFIG:
                self._device.set_mode(data)
            case Request.READ_DEVICE_INFO:
                return with_crc(self._device.page(data[0] if data else 0))
            case Request.WRITE_DEVICE_INFO:
                self._device.write(data)
            case Request.OTP_CHALLENGE_1 | Request.OTP_CHALLENGE_2:
                return self._answer_otp(index, data)
            case Request.HMAC_CHALLENGE_1 | Request.HMAC_CHALLENGE_2:
                return self._answer_hmac(index, data)
        return self.status()

    def status(self) -> bytes:
        """Version, programming sequence and touch level: six bytes."""
        level = TouchLevel(0)
        for index, slot in enumerate(self._slots):
            if slot is None or slot.dormant:
                continue
            level |= (TouchLevel.SLOT_1_VALID, TouchLevel.SLOT_2_VALID)[index]
            if not slot.is_challenge:
                level |= (TouchLevel.SLOT_1_TOUCH, TouchLevel.SLOT_2_TOUCH)[index]
            if slot.extended & Extended.LED_INVERTED:
                level |= TouchLevel.LED_INVERTED
        return bytes(self._body.version) + bytes([self._sequence]) + level.to_bytes(2, "little")

    # --- writing ---------------------------------------------------------------------------

    def _changed(self) -> None:
        if self._slots == [None, None]:
            self._sequence = 0
        else:
            self._sequence = self._sequence % 255 + 1
        self._body.spend("otp-write")
        self._body.save()

    def _check_access(self, index: int, code: bytes) -> None:
        slot = self._slots[index]
        if slot is not None and not hmac.compare_digest(slot.access, code):
            raise Refusal(SW.SECURITY_NOT_SATISFIED)

    @staticmethod
    def _split(data: bytes, length: int) -> tuple[bytes, bytes]:
        """The frame and the current access code behind it (zeros when it is left out)."""
        if len(data) not in (length, length + ACCESS_BYTES):
            raise Refusal(SW.WRONG_LENGTH)
        return data[:length], data[length:] or NO_ACCESS_CODE

    def _check_protection(self, index: int) -> None:
        """Slot 1 may forbid changing slot 2 unless that one is configured and allows it."""
        first, second = self._slots
        protects = first is not None and first.ticket & Ticket.PROTECT_CFG2
        allows = second is not None and second.ticket & Ticket.PROTECT_CFG2
        if index == 1 and protects and not allows:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)

    def _write(self, index: int, data: bytes) -> None:
        frame, code = self._split(data, CONFIG_BYTES)
        self._check_access(index, code)
        self._check_protection(index)
        config = SlotConfig.parse(frame) if any(frame) else None
        if config is None and self._slots[index] is None:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        self._slots[index] = config
        self._usage[index] = self._session[index] = 0
        self._moving[index] = 0
        if config is not None and config.is_hotp:
            self._moving[index] = int.from_bytes(config.uid[4:6], "big") << 4
        self._changed()

    def _update(self, index: int, data: bytes) -> None:
        frame, code = self._split(data, CONFIG_BYTES)
        slot = self._slots[index]
        if slot is None or not slot.extended & Extended.ALLOW_UPDATE:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        self._check_access(index, code)
        self._slots[index] = slot.updated(SlotConfig.parse(frame))
        self._changed()

    def _swap(self, data: bytes) -> None:
        _, code = self._split(data, 0)
        if self._slots == [None, None]:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        for index in (0, 1):
            self._check_access(index, code)
        for pair in (self._slots, self._moving, self._usage, self._session, self._ndef):
            pair.reverse()
        self._changed()

    def _write_ndef(self, index: int, data: bytes) -> None:
        record, code = self._split(data, NDEF_BYTES)
        if self._slots[index] is None:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        self._check_access(index, code)
        if record[0] > NDEF_BYTES - 2:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        self._ndef[index] = record
        self._changed()

    def _write_scan_map(self, data: bytes) -> None:
        scan_map, code = self._split(data, SCAN_MAP_BYTES)
        for index in (0, 1):
            self._check_access(index, code)
        self._scan_map = scan_map if any(scan_map) else b""
        self._changed()

    # --- asking ----------------------------------------------------------------------------

    def _serial(self) -> bytes:
        configured = [slot for slot in self._slots if slot is not None]
        visible = any(slot.extended & Extended.SERIAL_API_VISIBLE for slot in configured)
        if self._body.serial is None or (configured and not visible):
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        return self._body.serial.to_bytes(4, "big")

    def _challenged(self, index: int, *, hmac_sha1: bool) -> SlotConfig:
        slot = self._slots[index]
        if slot is None or slot.dormant or not slot.is_challenge or slot.is_hmac != hmac_sha1:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        if slot.config & CHALLENGE_TOUCH and not self._body.touch():
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        return slot

    def _answer_hmac(self, index: int, challenge: bytes) -> bytes:
        if not 0 < len(challenge) <= HMAC_CHALLENGE_BYTES:
            raise Refusal(SW.WRONG_LENGTH)
        slot = self._challenged(index, hmac_sha1=True)
        if not slot.config & HMAC_LT64:
            challenge = challenge.ljust(HMAC_CHALLENGE_BYTES, b"\0")
        elif len(challenge) == HMAC_CHALLENGE_BYTES:
            challenge = challenge.rstrip(challenge[-1:])  # padding repeats the last byte
        self._body.spend("hmac")
        return hmac.new(slot.secret20, challenge, hashlib.sha1).digest()

    def _answer_otp(self, index: int, challenge: bytes) -> bytes:
        if len(challenge) < YUBICO_CHALLENGE_BYTES:
            raise Refusal(SW.WRONG_LENGTH)
        slot = self._challenged(index, hmac_sha1=False)
        mixed = bytes(a ^ b for a, b in zip(slot.uid, challenge, strict=False))
        return otp_block(slot, self._moment(index), mixed)

    # --- typing ----------------------------------------------------------------------------

    def _moment(self, index: int) -> Moment:
        """Count one OTP."""
        if self._session[index] == 0 or self._session[index] == 0xFF:
            self._usage[index] = min(self._usage[index] + 1, MAX_USAGE)
            self._session[index] = 0
            self._body.save()
        moment = Moment(
            usage=self._usage[index],
            session=self._session[index],
            ticks=self._ticks + int(self._body.clock() * TICKS_PER_SECOND),
            noise=self._body.random(2),
        )
        self._session[index] += 1
        return moment

    def type_slot(self, slot: int) -> str:
        """What the token types when slot 1 or 2 is touched. Raises `ValueError` if it cannot."""
        config = self._slots[slot - 1]
        if config is None or config.dormant or config.is_challenge:
            raise ValueError(f"slot {slot} types nothing")
        counter = self._moving[slot - 1]
        if config.is_hotp:
            self._moving[slot - 1] += 1
            self._body.save()
        return typed(config, self._moment(slot - 1), counter)

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "slots": [slot.frame().hex() if slot is not None else "" for slot in self._slots],
            "moving": list(self._moving),
            "usage": list(self._usage),
            "sequence": self._sequence,
            "ndef": [record.hex() for record in self._ndef],
            "scan_map": self._scan_map.hex(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state."""
        self._slots = [
            SlotConfig.parse(bytes.fromhex(slot)) if slot else None for slot in state["slots"]
        ]
        self._moving = list(state["moving"])
        self._usage = list(state["usage"])
        self._sequence = state["sequence"]
        self._ndef = [bytes.fromhex(record) for record in state["ndef"]]
        self._scan_map = bytes.fromhex(state["scan_map"])
