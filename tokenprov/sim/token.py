"""A virtual token: applets behind one contact, as ISO/IEC 7816-4 has it.

The token parses APDUs and does what belongs to no applet: SELECT by name (11.3), command chaining
(5.3.3), response chaining by GET RESPONSE (11.7.1), classes and logical channels (5.4.1). Rules:

- An AID selects the first applet whose AID starts with it, from five bytes on (the registered
  application provider identifier, ISO/IEC 7816-5). A switched-off applet is not there.
- A refused SELECT leaves the current applet current; one answered with a warning does not.
- Where there is a security domain, secured commands (5.4.1, GlobalPlatform's kind) go through its
  secure channel; selecting an applet and a reset end that.
- A chain is broken by any other command, and so is an answer that waits to be fetched.
- Nothing is answered before an applet is selected.
- A reset of the contact (PC/SC) clears what applets hold while powered; only plugging in again is
  a power-up for what hangs on USB itself, and only it moves `Body.powered_at`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from tokenprov.sim.apdu import SW, Command, Refusal, parse_tpdu
from tokenprov.sim.applet import Applet, Body
from tokenprov.sim.device import Device
from tokenprov.sim.models import Capability, Model
from tokenprov.sim.presence import Finger, TouchPolicy
from tokenprov.sim.scp.secure_messaging import SecureMessaging

STATE_FORMAT = "tokenprov-sim-token/1"
TRACE_LENGTH = 4096  # commands
BUFFER_BYTES = 4096  # what a chain may bring; a PIV object of 3 KB with its headers fits
RID_BYTES = 5  # ISO/IEC 7816-5: registered application provider identifier


class Ins(IntEnum):
    """Instructions that the token answers itself (ISO/IEC 7816-4, table 4)."""

    SELECT = 0xA4
    GET_RESPONSE = 0xC0
    OATH_SEND_REMAINING = 0xA5  # YubiKey OATH protocol, "SEND REMAINING"


class Cla(IntEnum):
    """Bits of the class byte (ISO/IEC 7816-4, 5.4.1)."""

    CHANNEL = 0x03
    SECURE_MESSAGING = 0x0C
    GLOBALPLATFORM_MESSAGING = 0x04  # GlobalPlatform Card Specification 2.3.1, table 11-11
    CHAINING = 0x10
    FURTHER_INTERINDUSTRY = 0x40
    PROPRIETARY = 0x80
    FIRST_UNUSED = 0xA0


SELECT_BY_NAME = 0x04  # P1, ISO/IEC 7816-4, table 62
SELECT_ONLY_OCCURRENCE = frozenset({0x00, 0x0C})  # P2: first or only; with or without FCI
USB_POWERED = frozenset(
    {"fido2", "management"}
)  # applets that a reset of the contact does not reach
SWITCHES: Mapping[str, Capability] = {
    "otp": Capability.OTP,
    "piv": Capability.PIV,
    "oath": Capability.OATH,
    "openpgp": Capability.OPENPGP,
    "hsmauth": Capability.HSMAUTH,
    "fido2": Capability.FIDO2 | Capability.U2F,
}


class VirtualToken:
    """One token. Not thread-safe but for `press`, `pull` and the counters: one contact, one user.

    `applets` makes the applets for a `Body`; `device` is set by who assembles a YubiKey, and says
    what is switched on; so is `secure_messaging` where it has a security domain. `latency` gives
    the seconds that an operation takes. `store` is called with the whole lasting state after every
    change.
    """

    def __init__(
        self,
        model: Model,
        serial: int | None,
        *,
        applets: Callable[[Body, VirtualToken], list[Applet]],
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.monotonic,
        touch: TouchPolicy | None = None,
        latency: Mapping[str, float] | None = None,
        store: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.model = model
        self.serial = serial
        self.finger = Finger(touch or TouchPolicy())
        self.latency = dict(latency or {})
        self.count = 0
        self.seconds = 0.0  # spent on answers: computing and the latencies, not waiting its turn
        self.trace: deque[tuple[int, int]] = deque(maxlen=TRACE_LENGTH)
        self.device: Device | None = None
        self.secure_messaging: SecureMessaging | None = None
        self.on_reboot: Callable[[], None] | None = None
        self._store = store
        self._loading = True
        self._lock = threading.RLock()
        self.body = Body(
            version=model.version,
            serial=serial,
            random=random,
            clock=clock,
            touch=self.finger.wait,
            spend=self._spend,
            save=self._save,
            powered_at=clock(),
        )
        self.applets = applets(self.body, self)
        self._loading = False
        self.plug()

    @property
    def atr(self) -> bytes:
        """The answer to reset, bytes."""
        return self.model.atr

    def applet(self, name: str) -> Applet:
        """The applet of that name. Raises `KeyError` when this token has none."""
        for applet in self.applets:
            if applet.name == name:
                return applet
        raise KeyError(name)

    # --- power -----------------------------------------------------------------------------

    def plug(self) -> None:
        """Put it into its socket: power for everything."""
        self.finger.plugged()
        self.body.powered_at = self.body.clock()
        self._forget()
        for applet in self.applets:
            applet.power_up()

    def pull(self) -> None:
        """Take it out: whoever waits for a touch stops waiting. May come from another thread."""
        self.finger.pulled()

    def reset(self) -> bytes:
        """Reset the contact, or power it again; gives the ATR."""
        self._forget()
        for applet in self.applets:
            if applet.name not in USB_POWERED:
                applet.power_up()
        return self.atr

    def _forget(self) -> None:
        self._current: Applet | None = None
        self._chain: tuple[tuple[int, int, int, int], bytearray] | None = None
        self._waiting = b""
        if self.secure_messaging is not None:
            self.secure_messaging.end()

    # --- commands --------------------------------------------------------------------------

    def transmit(self, raw: bytes) -> bytes:
        """Answer one APDU: response data and status word."""
        with self._lock:
            self.count += 1
            began = time.thread_time()
            self._spend("apdu")
            data, sw = self._answer(raw)
            self.seconds += time.thread_time() - began
            self.trace.append((raw[1] if len(raw) > 1 else 0, sw))
            return data + sw.to_bytes(2, "big")

    def ask(self, name: str, command: Command) -> bytes:
        """One command to an applet, by an interface of its own: response data and status word.

        Selection, chains and secure channels belong to the contact, and are not touched.
        """
        with self._lock:
            self.count += 1
            began = time.thread_time()
            try:
                data, sw = self.applet(name).process(command), int(SW.OK)
            except Refusal as refusal:
                data, sw = refusal.data, refusal.sw
            self.seconds += time.thread_time() - began
            self.trace.append((command.ins, sw))
            return data + sw.to_bytes(2, "big")

    def _answer(self, raw: bytes) -> tuple[bytes, int]:
        try:
            command = parse_tpdu(raw) if self.model.t0 else Command.parse(raw)
            self._check_class(command)
            if self._is_get_response(command):
                return self._limit(self._take_waiting(), command)
            self._waiting = b""
            whole = self._gather(command)
            if whole is None:
                return b"", SW.OK
            if whole.ins == Ins.SELECT and whole.cla == 0 and whole.p1 == SELECT_BY_NAME:
                return self._limit(self._select(whole), command)
            if self._current is None:
                raise Refusal(SW.INVALID_INSTRUCTION)
            if self.secure_messaging is None:
                answer = self._current.process(whole)
            else:
                answer = self.secure_messaging.process(whole, self._current.process)
            return self._limit(answer, command)
        except Refusal as refusal:
            self._chain = None
            return refusal.data, refusal.sw

    def _check_class(self, command: Command) -> None:
        cla = command.cla
        if cla >= Cla.FIRST_UNUSED or 0x20 <= cla < Cla.FURTHER_INTERINDUSTRY:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        if cla & Cla.FURTHER_INTERINDUSTRY or cla & Cla.CHANNEL:
            raise Refusal(SW.CHANNEL_NOT_SUPPORTED)
        kind = cla & Cla.SECURE_MESSAGING
        if kind and (self.secure_messaging is None or kind != Cla.GLOBALPLATFORM_MESSAGING):
            raise Refusal(SW.SECURE_MESSAGING_NOT_SUPPORTED)

    def _gather(self, command: Command) -> Command | None:
        """Do command chaining: the whole command, or None when more is to come."""
        head = (command.cla & ~Cla.CHAINING, command.ins, command.p1, command.p2)
        gathered = bytearray()
        if self._chain is not None and self._chain[0] == head:
            gathered = self._chain[1]
        self._chain = None
        gathered += command.data
        if len(gathered) > BUFFER_BYTES:
            raise Refusal(SW.WRONG_LENGTH)
        if command.cla & Cla.CHAINING:
            self._chain = (head, gathered)
            return None
        return Command(
            cla=head[0],
            ins=command.ins,
            p1=command.p1,
            p2=command.p2,
            data=bytes(gathered),
            le=command.le,
            extended=command.extended,
        )

    def _is_get_response(self, command: Command) -> bool:
        oath = self._current is not None and self._current.name == "oath"
        return command.ins == (Ins.OATH_SEND_REMAINING if oath else Ins.GET_RESPONSE)

    def _take_waiting(self) -> bytes:
        waiting, self._waiting = self._waiting, b""
        if not waiting:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        return waiting

    def _limit(self, data: bytes, command: Command) -> tuple[bytes, int]:
        """Give as much as was asked for, and keep the rest for GET RESPONSE.

        Over T=0 that is nothing after data, and all or 6Cxx else (ISO/IEC 7816-3, 10.3.3).
        """
        room = command.le or (65536 if command.extended else 256)
        if self.model.t0 and data:
            room = 0 if command.data else room
            if len(data) < room:
                self._waiting = data
                raise Refusal(SW_WRONG_LE | len(data))
        if len(data) <= room:
            return data, SW.OK
        self._waiting = data[room:]
        return data[:room], SW_MORE_DATA | (len(self._waiting) if len(self._waiting) < 256 else 0)

    def _select(self, command: Command) -> bytes:
        if command.p2 not in SELECT_ONLY_OCCURRENCE:
            raise Refusal(SW.FILE_NOT_FOUND if command.p2 == 0x02 else SW.WRONG_P1P2)
        found = self._find(command.data)
        if found is None:
            raise Refusal(self.model.unknown_aid_sw)
        answer = b""
        warning: Refusal | None = None
        try:
            answer = found.select()
        except Refusal as refusal:
            if refusal.sw >> 8 != WARNING_SW1:
                raise
            warning = refusal
        if self.secure_messaging is not None:
            self.secure_messaging.end()
        if self._current is not None and self._current is not found:
            self._current.deselect()
        self._current = found
        if warning is not None:
            raise warning
        return answer

    def _find(self, aid: bytes) -> Applet | None:
        if len(aid) < RID_BYTES:
            return None
        on = self.device.usb_enabled if self.device is not None else None
        for applet in self.applets:
            if not applet.aid.startswith(aid):
                continue
            switch = SWITCHES.get(applet.name)
            if on is None or switch is None or on & switch:
                return applet
        return None

    # --- what the body asks for ------------------------------------------------------------

    def _spend(self, operation: str) -> None:
        seconds = self.latency.get(operation, 0.0)
        self.seconds += seconds
        self.finger.sleep(seconds)

    def _save(self) -> None:
        if self._store is not None and not self._loading:
            self._store(self.dump())

    def reboot(self) -> None:
        """The token restarts, as after a change of its interfaces."""
        if self.on_reboot is not None:
            self.on_reboot()

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The whole lasting state as JSON-able data. It holds the token's secrets."""
        with self._lock:
            return {
                "format": STATE_FORMAT,
                "model": self.model.name,
                "serial": self.serial,
                "applets": {applet.name: applet.dump() for applet in self.applets},
            }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take the state that `dump` gave. Raises `ValueError` for another format or model."""
        if state.get("format") != STATE_FORMAT or state.get("model") != self.model.name:
            raise ValueError("not a state of this model of token")
        if state.get("serial") != self.serial:
            raise ValueError("the state of another token")
        self._loading = True
        try:
            for applet in self.applets:
                if applet.name in state["applets"]:
                    applet.load(state["applets"][applet.name])
        finally:
            self._loading = False
        self._save()
        self.plug()


WARNING_SW1 = 0x62  # ISO/IEC 7816-4, table 6: a warning, nothing changed
SW_WRONG_LE = 0x6C00  # ISO/IEC 7816-4, table 5: SW2 bytes are there
SW_MORE_DATA = 0x6100  # ISO/IEC 7816-4, table 6: SW2 bytes still available
