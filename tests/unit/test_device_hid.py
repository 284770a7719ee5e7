"""A FIDO node as the driver opens it: locked, let go again, and other programs that use it too.

The token is virtual and the reports go to it in this process; the lock is a real one, on a file.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fido2.ctap import CtapError
from fido2.hid.base import CtapHidConnection, HidDescriptor

from tests.in_process import SERIAL, Finger, Line
from tokenprov.device import hid, token
from tokenprov.device.hid import FidoNode
from tokenprov.device.pcsc import PcscConnection
from tokenprov.device.token import YubiKey, opened
from tokenprov.device.usb import UsbToken
from tokenprov.errors import ReaderBusy, TokenError
from tokenprov.sim.assembly import make_token
from tokenprov.sim.contact import Contact
from tokenprov.sim.ctap.ctaphid import CtapHid
from tokenprov.sim.token import VirtualToken
from tokenprov.sim.usb.fido import FidoBehind

USB = UsbToken(
    port="1-2",
    number=7,
    vendor=0x1050,
    product=0x0407,
    name="A token",
    fido=Path("/dev/hidraw0"),
    otp=None,
    keyboards=(),
    has_ccid=True,
)
Spoil = Callable[[bytes], bytes]


class Wire(CtapHidConnection):
    """The open node: a file that can be locked, and a token behind it."""

    def __init__(self, node: Path, interface: CtapHid, spoil: Spoil) -> None:
        self.handle = os.open(node, os.O_RDWR)
        self._interface, self._spoil = interface, spoil
        self._reports: deque[bytes] = deque()

    def write_packet(self, data: bytes) -> None:
        """A report to the token."""
        self._reports.extend(self._interface.receive(data) + self._interface.run())

    def read_packet(self) -> bytes:
        """A report from the token."""
        return self._spoil(self._reports.popleft())

    def close(self) -> None:
        """Let the lock go."""
        os.close(self.handle)


class Bus:
    """One YubiKey, plugged in, whose reports may come back changed by `spoil`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.token: VirtualToken = make_token("yubikey-5.7.4", SERIAL)
        contact = Contact(0)
        contact.put_aside(self.token)
        contact.insert()
        self._interface = CtapHid(
            FidoBehind(contact, self.token), self.token.model.version, self.token.body.clock
        )
        self._node = folder / "hidraw0"
        self._node.touch()
        self.spoil: Spoil = lambda report: report
        descriptor = HidDescriptor("virtual", USB.vendor, USB.product, 64, 64, "YubiKey", None)
        monkeypatch.setattr(hid, "get_descriptor", lambda path: descriptor)
        monkeypatch.setattr(hid, "open_connection", self._open)
        for module in (hid, token):
            monkeypatch.setattr(module, "plugged_in", lambda: (USB,))
        monkeypatch.setattr(token, "Link", self._link)

    def _open(self, descriptor: HidDescriptor) -> Wire:
        return Wire(self._node, self._interface, lambda report: self.spoil(report))

    def _link(self, reader: str, watch: object) -> Any:
        """A connection to its smart card, in the place of a reader's."""
        line = Line(self.token)
        link = SimpleNamespace(connection=cast(PcscConnection, line), moved=None)
        return _Held(link)


class _Held:
    def __init__(self, link: SimpleNamespace) -> None:
        self._link = link

    def __enter__(self) -> SimpleNamespace:
        return self._link

    def __exit__(self, *_: object) -> None:
        """Nothing to do."""


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """A YubiKey in a reader, whose FIDO interface is a HID node beside it."""
    return Bus(tmp_path, monkeypatch)


def test_the_node_is_let_go_with_the_token(bus: Bus) -> None:
    """While a YubiKey is at work nobody else opens its FIDO node; afterwards anybody may."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        with opened("a reader", cast(Any, Finger())) as at_work:
            assert isinstance(at_work, YubiKey)
            assert at_work.fido2().info.aaguid
            with pytest.raises(ReaderBusy, match="in use by another program"):
                FidoNode(USB)
    FidoNode(USB).close()
    assert len(os.listdir("/proc/self/fd")) == before


def _of_another_channel(report: bytes) -> bytes:
    return bytes(4) + report[4:]


def _cut_short(report: bytes) -> bytes:
    return report[:5]


def _busy(report: bytes) -> bytes:
    return report[:4] + bytes([0x80 | 0x3F, 0, 1, 0x06]) + bytes(56)  # CTAP 2.1, 11.2.9.1.6


def _unknown(report: bytes) -> bytes:
    return report[:4] + bytes([0x80 | 0x3F, 0, 1, 0x7F]) + bytes(56)


@pytest.mark.parametrize("spoil", [_of_another_channel, _cut_short, _busy, _unknown])
def test_an_answer_to_somebody_else_is_an_error_of_the_token(
    bus: Bus, spoil: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser locks no node: what it is answered ends the turn, and the node is let go."""
    monkeypatch.setattr(hid, "BUSY_SECONDS", 0.05)
    before = len(os.listdir("/proc/self/fd"))
    bus.spoil = spoil
    with pytest.raises(TokenError):
        FidoNode(USB)
    assert len(os.listdir("/proc/self/fd")) == before
    bus.spoil = lambda report: report
    node = FidoNode(USB)
    bus.spoil = spoil
    with pytest.raises((TokenError, CtapError)):  # applets' own code gives codes a meaning
        node.ping(b"hello")
    node.close()
