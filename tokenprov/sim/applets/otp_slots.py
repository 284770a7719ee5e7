"""The memory of the OTP applet: two slots, what may be written to them, and who may.

Source: "YubiKey Manual" 3.4. Rules:

- A slot with an access code is changed by nobody without it; deleting is writing zeros.
- An update changes flags and access code only, and only where ALLOW_UPDATE is set.
- Each change moves the programming sequence by one; with both slots empty it is zero.
- Slot 1 may forbid changing slot 2, unless that one is configured and allows it (PROTECT_CFG2).
"""

from __future__ import annotations

import hmac
from enum import IntFlag
from typing import Any

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.otp_frame import (
    ACCESS_BYTES,
    CONFIG_BYTES,
    Extended,
    SlotConfig,
    Ticket,
)

NDEF_BYTES = 56  # length, type, 54 bytes of record
SCAN_MAP_BYTES = 45
MAX_USAGE = 0x7FFF  # the usage counter stops here
NO_ACCESS_CODE = bytes(ACCESS_BYTES)


class TouchLevel(IntFlag):
    """Low byte of the touch level in the status."""

    SLOT_1_VALID = 0x01
    SLOT_2_VALID = 0x02
    SLOT_1_TOUCH = 0x04
    SLOT_2_TOUCH = 0x08
    LED_INVERTED = 0x10


class Slots:
    """The two slots, by index 0 and 1, with their counters.

    Every change raises `Refusal` when it may not be: 6982 for the access code or protection, 6985
    for the state of the slot, 6700 and 6A80 for what is malformed.
    """

    def __init__(self) -> None:
        self.configs: list[SlotConfig | None] = [None, None]
        self.sequence = 0
        self._moving = [0, 0]  # HOTP moving factors
        self._usage = [0, 0]
        self._session = [0, 0]
        self._ndef: list[bytes] = [b"", b""]
        self._scan_map = b""

    @property
    def empty(self) -> bool:
        """Whether no slot is configured."""
        return self.configs == [None, None]

    @property
    def touch_level(self) -> TouchLevel:
        """What the status says of the slots; a dormant one looks empty."""
        level = TouchLevel(0)
        for index, slot in enumerate(self.configs):
            if slot is None or slot.dormant:
                continue
            level |= (TouchLevel.SLOT_1_VALID, TouchLevel.SLOT_2_VALID)[index]
            if not slot.is_challenge:
                level |= (TouchLevel.SLOT_1_TOUCH, TouchLevel.SLOT_2_TOUCH)[index]
            if slot.extended & Extended.LED_INVERTED:
                level |= TouchLevel.LED_INVERTED
        return level

    def power_up(self) -> None:
        """Session counters start again."""
        self._session = [0, 0]

    def count_otp(self, index: int) -> tuple[int, int, bool]:
        """Count one OTP: usage counter, session counter, and whether the lasting one moved."""
        moved = self._session[index] in (0, 0x100)
        if moved:
            self._usage[index] = min(self._usage[index] + 1, MAX_USAGE)
            self._session[index] = 0
        self._session[index] += 1
        return self._usage[index], self._session[index] - 1, moved

    def count_hotp(self, index: int) -> int:
        """The moving factor of a HOTP slot, which moves on."""
        self._moving[index] += 1
        return self._moving[index] - 1

    def _changed(self) -> None:
        self.sequence = 0 if self.empty else self.sequence % 255 + 1

    def _check_access(self, index: int, code: bytes) -> None:
        slot = self.configs[index]
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
        first, second = self.configs
        protects = first is not None and first.ticket & Ticket.PROTECT_CFG2
        allows = second is not None and second.ticket & Ticket.PROTECT_CFG2
        if index == 1 and protects and not allows:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)

    def write(self, index: int, data: bytes) -> None:
        """Configure a slot, or delete it with zeros."""
        frame, code = self._split(data, CONFIG_BYTES)
        self._check_access(index, code)
        self._check_protection(index)
        config = SlotConfig.parse(frame) if any(frame) else None
        if config is None and self.configs[index] is None:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        self.configs[index] = config
        self._usage[index] = self._session[index] = 0
        self._moving[index] = 0
        if config is not None and config.is_hotp:
            self._moving[index] = int.from_bytes(config.uid[4:6], "big") << 4
        self._changed()

    def update(self, index: int, data: bytes) -> None:
        """Change flags and access code of a slot."""
        frame, code = self._split(data, CONFIG_BYTES)
        slot = self.configs[index]
        if slot is None or not slot.extended & Extended.ALLOW_UPDATE:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        self._check_access(index, code)
        self.configs[index] = slot.updated(SlotConfig.parse(frame))
        self._changed()

    def swap(self, data: bytes) -> None:
        """Swap the two slots."""
        _, code = self._split(data, 0)
        if self.empty:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        for index in (0, 1):
            self._check_access(index, code)
        for pair in (self.configs, self._moving, self._usage, self._session, self._ndef):
            pair.reverse()
        self._changed()

    def write_ndef(self, index: int, data: bytes) -> None:
        """Take the NDEF record of a slot."""
        record, code = self._split(data, NDEF_BYTES)
        if self.configs[index] is None:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        self._check_access(index, code)
        if record[0] > NDEF_BYTES - 2:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        self._ndef[index] = record
        self._changed()

    def write_scan_map(self, data: bytes) -> None:
        """Take the scan codes for typing; zeros bring back the maker's."""
        scan_map, code = self._split(data, SCAN_MAP_BYTES)
        for index in (0, 1):
            self._check_access(index, code)
        self._scan_map = scan_map if any(scan_map) else b""
        self._changed()

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "slots": [slot.frame().hex() if slot is not None else "" for slot in self.configs],
            "moving": list(self._moving),
            "usage": list(self._usage),
            "sequence": self.sequence,
            "ndef": [record.hex() for record in self._ndef],
            "scan_map": self._scan_map.hex(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state."""
        self.configs = [
            SlotConfig.parse(bytes.fromhex(slot)) if slot else None for slot in state["slots"]
        ]
        self._moving = list(state["moving"])
        self._usage = list(state["usage"])
        self.sequence = state["sequence"]
        self._ndef = [bytes.fromhex(record) for record in state["ndef"]]
        self._scan_map = bytes.fromhex(state["scan_map"])
