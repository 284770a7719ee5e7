"""A token as a composite USB device: requests in, answers and reports out.

What belongs to no interface is answered here (USB 2.0, 9.4), and each interface's requests go to
its file: `keyboard`, `ctaphid`, `ccid`. An interface takes its commands one after the other in a
thread of its own, so that the bus never waits for a token that computes or blinks.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial

from tokenprov.sim.apdu import Command
from tokenprov.sim.applets.otp import Ins as OtpIns
from tokenprov.sim.applets.otp import OtpApplet
from tokenprov.sim.contact import Contact, Status
from tokenprov.sim.ctap.ctaphid import CtapHid, Keepalive
from tokenprov.sim.token import VirtualToken
from tokenprov.sim.usb.ccid import EXTENSION_SECONDS, CcidSlot, Message
from tokenprov.sim.usb.descriptors import Ep, Layout, Part
from tokenprov.sim.usb.fido import SW_OK, AnswerLost, FidoBehind
from tokenprov.sim.usb.keyboard import REPORT_BYTES, Asked, Keyboard, strokes
from tokenprov.sim.usb.worker import Worker, beating

KEEPALIVE_SECONDS = 0.1  # CTAP 2.1, 11.2.9.1.7
SLOT_CHANGED = b"\x50\x03"  # RDR_to_PC_NotifySlotChange: a token is in the slot (CCID 1.1, 6.3.1)


class Request(IntEnum):
    """Standard requests (USB 2.0, table 9-4)."""

    GET_STATUS = 0
    CLEAR_FEATURE = 1
    SET_FEATURE = 3
    GET_DESCRIPTOR = 6


class HidRequest(IntEnum):
    """Requests of the HID class (HID 1.11, 7.2)."""

    GET_REPORT = 0x01
    GET_IDLE = 0x02
    GET_PROTOCOL = 0x03
    SET_REPORT = 0x09
    SET_IDLE = 0x0A
    SET_PROTOCOL = 0x0B


class ReportKind(IntEnum):
    """High byte of a report request's value (HID 1.11, 7.2.1)."""

    INPUT = 1
    OUTPUT = 2
    FEATURE = 3


class RequestKind(IntEnum):
    """Bits of bmRequestType (USB 2.0, table 9-2)."""

    CLASS = 0x20
    KIND = 0x60
    RECIPIENT = 0x1F
    INTERFACE = 0x01


CCID_ABORT = 0x01  # CCID 1.1, 5.3.1


class UsbToken:
    """One token while it is plugged in. `send(endpoint, data)` takes what it sends to the guest."""

    def __init__(
        self, contact: Contact, token: VirtualToken, send: Callable[[int, bytes], None]
    ) -> None:
        assert token.device is not None
        self.layout = Layout.of(token.device.usb_enabled, token.model.version)
        self._contact, self._token, self._out = contact, token, send
        self._pulled = False
        self._workers = {part: Worker(f"usb-{part.word}") for part in self.layout.parts}
        self._slot, self._bulk = CcidSlot(contact), b""
        self._keyboard = Keyboard()
        self._hid: CtapHid | None = None
        if Part.FIDO in self.layout.parts:
            self._hid = CtapHid(FidoBehind(contact, token), token.model.version, token.body.clock)

    def close(self) -> None:
        """It was pulled: what it still answers goes nowhere."""
        self._pulled = True
        for worker in self._workers.values():
            worker.close()

    def _send(self, endpoint: int, data: bytes) -> None:
        if not self._pulled:
            self._out(endpoint, data)

    def reset(self) -> None:
        """The bus was reset."""
        self._slot.reset()
        self._bulk = b""
        self._keyboard.reset()
        if self._hid is not None:
            self._hid.reset()

    def listened(self, endpoint: int) -> None:
        """The guest began to listen to an interrupt endpoint."""
        if endpoint == Ep.CCID_EVENTS:
            self._send(endpoint, SLOT_CHANGED)

    # --- control requests ------------------------------------------------------------------

    def control(self, kind: int, request: int, value: int, index: int, data: bytes) -> bytes | None:
        """Answer a request on endpoint 0; None stalls it."""
        if kind & RequestKind.KIND == RequestKind.CLASS:
            return self._class_request(request, value, index, data)
        if kind & RequestKind.KIND:
            return None
        if request == Request.GET_DESCRIPTOR:
            to_interface = kind & RequestKind.RECIPIENT == RequestKind.INTERFACE
            interface = index if to_interface else len(self.layout.parts)
            return self.layout.descriptor(value >> 8, value & 0xFF, interface)
        if request == Request.GET_STATUS:
            return bytes(2)
        return b"" if request in (Request.CLEAR_FEATURE, Request.SET_FEATURE) else None

    def _class_request(self, request: int, value: int, index: int, data: bytes) -> bytes | None:
        interface = index & 0xFF
        if interface >= len(self.layout.parts):
            return None
        part = self.layout.parts[interface]
        if part is Part.CCID:
            return b"" if request == CCID_ABORT else None
        if request == HidRequest.GET_REPORT:
            return self._get_report(part, value >> 8)
        if request == HidRequest.SET_REPORT:
            return self._set_report(part, value >> 8, data)
        if request in (HidRequest.GET_IDLE, HidRequest.GET_PROTOCOL):
            return b"\x01"
        return b"" if request in (HidRequest.SET_IDLE, HidRequest.SET_PROTOCOL) else None

    # --- the keyboard ----------------------------------------------------------------------

    def _get_report(self, part: Part, kind: int) -> bytes | None:
        if part is not Part.OTP:
            return None
        if kind == ReportKind.INPUT:
            return bytes(REPORT_BYTES)
        finger = self._token.finger
        waits = int(finger.policy.patience) if finger.waiting else None
        return self._keyboard.read(self._otp.status(), waits)

    @property
    def _otp(self) -> OtpApplet:
        applet = self._token.applet("otp")
        assert isinstance(applet, OtpApplet)
        return applet

    def _set_report(self, part: Part, kind: int, data: bytes) -> bytes | None:
        if part is not Part.OTP:
            return None
        if kind == ReportKind.FEATURE and len(data) == REPORT_BYTES:
            before = self._keyboard.pending
            self._keyboard.write(data)
            asked = self._keyboard.pending
            if asked is not None and asked is not before:
                self._workers[Part.OTP].submit(partial(self._ask_otp, asked))
        return b""

    def _ask_otp(self, asked: Asked) -> None:
        command = Command(cla=0, ins=OtpIns.REQUEST, p1=asked.request, p2=0, data=asked.data)
        raw = bytes([0, command.ins, command.p1, 0]) + asked.data
        status, answer = self._contact.exchange(raw, lambda token: token.ask("otp", command))
        took = status is Status.DONE and int.from_bytes(answer[-2:], "big") == SW_OK
        self._keyboard.answer(answer[:-2] if took and asked.reads else None)
        self._contact.answered()

    def type(self, text: str) -> None:
        """Send the keystrokes of a touched slot."""
        for report in strokes(text):
            self._send(Ep.KEYS_IN, report)

    # --- FIDO ------------------------------------------------------------------------------

    def interrupt(self, endpoint: int, report: bytes) -> bool:
        """Take an output report; whether the endpoint is there."""
        if endpoint != Ep.FIDO_OUT or self._hid is None:
            return False
        before = self._hid.pending
        self._send_reports(self._hid.receive(report))
        pending = self._hid.pending
        if pending is not None and pending is not before:
            self._workers[Part.FIDO].submit(partial(self._run_hid, self._hid))
        elif pending is not None and pending.cancelled:
            self._token.finger.cancel()
        return True

    def _run_hid(self, hid: CtapHid) -> None:
        def alive() -> None:
            touch = self._token.finger.waiting
            self._send_reports(
                hid.keepalive(Keepalive.UP_NEEDED if touch else Keepalive.PROCESSING)
            )

        try:
            with beating(KEEPALIVE_SECONDS, alive):
                reports = hid.run()
        except AnswerLost:
            reports = []
        self._send_reports(reports)
        self._contact.answered()

    def _send_reports(self, reports: list[bytes]) -> None:
        for report in reports:
            self._send(Ep.FIDO_IN, report)

    # --- CCID ------------------------------------------------------------------------------

    def bulk(self, endpoint: int, data: bytes) -> bool:
        """Take data for the smart card; whether the endpoint is there."""
        if endpoint != Ep.CCID_OUT or Part.CCID not in self.layout.parts:
            return False
        self._bulk += data
        message = Message.parse(self._bulk)
        if message is not None:
            self._bulk = b""
            self._workers[Part.CCID].submit(partial(self._answer_ccid, message))
        return True

    def _answer_ccid(self, message: Message) -> None:
        def goes_on() -> None:
            self._send(Ep.CCID_IN, self._slot.extension(message))

        with beating(EXTENSION_SECONDS, goes_on):
            answer = self._slot.answer(message)
        self._send(Ep.CCID_IN, answer)
        self._contact.answered()
