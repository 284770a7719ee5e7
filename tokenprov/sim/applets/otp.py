"""The OTP applet of a YubiKey over CCID: two slots, written, updated, swapped and asked.

Source: "YubiKey Manual" 3.4 and the maker's host libraries' description of the frames. Rules:

- What may be written, and by whom, is in otp_slots.py; each request that wrote gives the status.
- A challenge is answered by a slot of its kind, after a touch where the slot asks for one.
- The serial is answered while no slot is configured, or where a slot makes it visible.
- A factory-fresh key has a Yubico OTP credential in slot 1, whose public identity is `cc…` in
  modhex and whose secrets nobody can read.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum
from typing import Any

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.applets.otp_frame import (
    CHALLENGE_TOUCH,
    HMAC_LT64,
    Config,
    Extended,
    SlotConfig,
    Ticket,
    with_crc,
)
from tokenprov.sim.applets.otp_slots import NO_ACCESS_CODE, Slots
from tokenprov.sim.applets.otp_typing import Moment, otp_block, typed
from tokenprov.sim.device import Device
from tokenprov.sim.models import Model

AID = bytes.fromhex("a000000527200101")
HMAC_CHALLENGE_BYTES = 64
YUBICO_CHALLENGE_BYTES = 6
TICKS_PER_SECOND = 8
FACTORY_PREFIX = b"\x00\x00"  # "cccc" in modhex; the serial follows


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


class OtpApplet:
    """The OTP applet."""

    name = "otp"
    aid = AID

    def __init__(self, body: Body, model: Model, device: Device) -> None:
        self._body = body
        self._model = model
        self._device = device
        self._slots = Slots()
        self._ticks = 0
        if body.serial is not None:
            self._slots.configs[0] = self._factory_slot(body.serial)
            self._slots.sequence = 1

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
        self._slots.power_up()
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
                self._slots.write(index, data)
            case Request.UPDATE_1 | Request.UPDATE_2:
                self._slots.update(index, data)
            case Request.SWAP:
                self._slots.swap(data)
            case Request.NDEF_1 | Request.NDEF_2:
                self._slots.write_ndef(index, data)
            case Request.SCAN_MAP:
                self._slots.write_scan_map(data)
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
        self._body.spend("otp-write")
        self._body.save()
        return self.status()

    def status(self) -> bytes:
        """Version, programming sequence and touch level: six bytes."""
        level = self._slots.touch_level.to_bytes(2, "little")
        return bytes(self._body.version) + bytes([self._slots.sequence]) + level

    # --- asking ----------------------------------------------------------------------------

    def _serial(self) -> bytes:
        configured = [slot for slot in self._slots.configs if slot is not None]
        visible = any(slot.extended & Extended.SERIAL_API_VISIBLE for slot in configured)
        if self._body.serial is None or (configured and not visible):
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        return self._body.serial.to_bytes(4, "big")

    def _challenged(self, index: int, *, hmac_sha1: bool) -> SlotConfig:
        slot = self._slots.configs[index]
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
        usage, session, moved = self._slots.count_otp(index)
        if moved:
            self._body.save()
        return Moment(
            usage=usage,
            session=session,
            ticks=self._ticks + int(self._body.clock() * TICKS_PER_SECOND),
            noise=self._body.random(2),
        )

    def type_slot(self, slot: int) -> str:
        """What the token types when slot 1 or 2 is touched. Raises `ValueError` if it cannot."""
        index = slot - 1
        config = self._slots.configs[index] if index in (0, 1) else None
        if config is None or config.dormant or config.is_challenge:
            raise ValueError(f"slot {slot} types nothing")
        counter = 0
        if config.is_hotp:
            counter = self._slots.count_hotp(index)
            self._body.save()
        return typed(config, self._moment(index), counter)

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return self._slots.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state."""
        self._slots.load(state)
