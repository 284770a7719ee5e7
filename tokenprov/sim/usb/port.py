"""A port of the bus: a Unix socket on which a virtual machine finds whatever is plugged in.

The machine connects and stays; a token that is plugged in, pulled or rebooted comes and goes in
packets on that connection. Where no machine is connected, the next one finds what is there.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from functools import partial
from pathlib import Path

from tokenprov.sim.contact import Contact
from tokenprov.sim.token import VirtualToken
from tokenprov.sim.usb.descriptors import YUBICO, Ep
from tokenprov.sim.usb.device import UsbToken
from tokenprov.sim.usb.pipes import BulkIn, InterruptIn
from tokenprov.sim.usb.redir import (
    DIRECTION_IN,
    Packet,
    ProtocolError,
    Status,
    Type,
    Wire,
)

READ_BYTES = 65536
CONFIGURATION = 1


class UsbPort:
    """Listens on `path` from the beginning; one machine at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._device: UsbToken | None = None
        self._wire = Wire()
        self._machine: socket.socket | None = None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._sending = threading.Lock()  # taken last: whoever sends may hold a pipe
        self._configured = False
        self._numbers = itertools.count()
        self._bulk_in = BulkIn(self._send_bulk)
        self._reports = {
            endpoint: InterruptIn(partial(self._send_report, endpoint))
            for endpoint in (Ep.KEYS_IN, Ep.FIDO_IN, Ep.CCID_EVENTS)
        }
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)

    def start(self) -> None:
        """Serve from a thread of its own."""
        threading.Thread(target=self._accept, name="usb-port", daemon=True).start()

    def close(self) -> None:
        """Stop serving: for the machine, the token is gone."""
        for open_socket in (self._listener, self._machine):
            if open_socket is not None:
                with contextlib.suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)
                open_socket.close()
        self.path.unlink(missing_ok=True)

    # --- tokens come and go ----------------------------------------------------------------

    @property
    def device(self) -> UsbToken | None:
        """What is plugged in."""
        return self._device

    def attach(self, contact: Contact, token: VirtualToken) -> None:
        """Plug a token in."""
        with self._lock:
            self.detach()
            self._device = UsbToken(contact, token, self._put)
            self._tell()

    def detach(self) -> None:
        """Pull the token. Nothing happens when there is none."""
        with self._lock:
            device, self._device = self._device, None
            if device is None:
                return
            device.close()
            self._forget()
            if self._wire.greeted:
                self._send(self._wire.packet(Type.DEVICE_DISCONNECT, 0))

    def wait_configured(self, seconds: float) -> bool:
        """Wait until the machine uses what is plugged in; at once where there is no machine."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._configured or self._machine is None, seconds
            )

    def _forget(self) -> None:
        self._configured = False
        self._bulk_in.clear()
        for pipe in self._reports.values():
            pipe.listen(False)
            pipe.clear()

    def _tell(self) -> None:
        if self._device is None or not self._wire.greeted:
            return
        layout = self._device.layout
        self._send(
            self._wire.connect(
                vendor=YUBICO,
                product=layout.product,
                version=layout.release,
                interfaces=layout.interfaces,
                endpoints=layout.endpoints,
            )
        )

    # --- sending ---------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        with self._sending:
            if self._machine is not None:
                with contextlib.suppress(OSError):
                    self._machine.sendall(data)

    def _put(self, endpoint: int, data: bytes) -> None:
        if endpoint == Ep.CCID_IN:
            self._bulk_in.put(data)
        else:
            self._reports[Ep(endpoint)].put(data)

    def _send_bulk(self, asked: Packet, data: bytes) -> None:
        self._send(self._wire.bulk(asked, Status.SUCCESS, data))

    def _send_report(self, endpoint: int, report: bytes) -> None:
        number = next(self._numbers)
        self._send(self._wire.interrupt(number, endpoint, Status.SUCCESS, report))

    # --- receiving -------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                machine, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._machine, self._wire = machine, Wire()
                self._forget()
                self._send(self._wire.hello())
            self._serve(machine)
            with self._changed:
                self._machine = None
                self._forget()
                self._changed.notify_all()
            machine.close()

    def _serve(self, machine: socket.socket) -> None:
        try:
            while data := machine.recv(READ_BYTES):
                for packet in self._wire.receive(data):
                    self._take(packet)
        except (OSError, ProtocolError):
            return

    def _take(self, packet: Packet) -> None:
        if packet.type == Type.HELLO:
            with self._lock:
                self._tell()
            return
        device = self._device
        if device is None:
            return  # what the machine sent before it heard that the token is gone
        match packet.type:
            case Type.RESET:
                device.reset()
            case Type.SET_CONFIGURATION | Type.GET_CONFIGURATION:
                with self._changed:
                    self._configured = True
                    self._changed.notify_all()
                status = (Type.CONFIGURATION_STATUS, Status.SUCCESS, CONFIGURATION)
                self._send(self._wire.answer(packet, *status))
            case Type.SET_ALT_SETTING | Type.GET_ALT_SETTING:
                status = (Type.ALT_SETTING_STATUS, Status.SUCCESS, packet.fields[0])
                self._send(self._wire.answer(packet, *status, 0))
            case Type.START_INTERRUPT_RECEIVING | Type.STOP_INTERRUPT_RECEIVING:
                self._listen(device, packet)
            case Type.CANCEL_DATA_PACKET:
                withdrawn = self._bulk_in.withdraw(packet.id)
                if withdrawn is not None:
                    self._send(self._wire.bulk(withdrawn, Status.CANCELLED))
            case Type.CONTROL_PACKET:
                self._control(device, packet)
            case Type.BULK_PACKET:
                self._bulk(device, packet)
            case Type.INTERRUPT_PACKET:
                there = device.interrupt(packet.fields[0], packet.data)
                status_out = Status.SUCCESS if there else Status.STALL
                self._send(self._wire.interrupt(packet.id, packet.fields[0], status_out))

    def _listen(self, device: UsbToken, packet: Packet) -> None:
        endpoint = packet.fields[0]
        starts = packet.type == Type.START_INTERRUPT_RECEIVING
        there = endpoint in self._reports
        status = Status.SUCCESS if there else Status.STALL
        self._send(self._wire.answer(packet, Type.INTERRUPT_RECEIVING_STATUS, status, endpoint))
        if there:
            self._reports[Ep(endpoint)].listen(starts)
            if starts:
                device.listened(endpoint)

    def _control(self, device: UsbToken, packet: Packet) -> None:
        _, request, kind, _, value, index, length = packet.fields
        answer = device.control(kind, request, value, index, packet.data)
        if answer is None:
            self._send(self._wire.control(packet, Status.STALL))
        else:
            self._send(self._wire.control(packet, Status.SUCCESS, answer[:length]))

    def _bulk(self, device: UsbToken, packet: Packet) -> None:
        endpoint = packet.fields[0]
        if endpoint & DIRECTION_IN:
            self._bulk_in.ask(packet)
        else:
            status = Status.SUCCESS if device.bulk(endpoint, packet.data) else Status.STALL
            self._send(self._wire.bulk(packet, status))
