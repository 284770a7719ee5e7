"""A virtual PIV token in this process, with the maker's client library on its contact."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from yubikit.core import TRANSPORT
from yubikit.core.smartcard import AID, SmartCardConnection
from yubikit.piv import PivSession

from tokenprov.sim.applets.piv import PivApplet
from tokenprov.sim.attestation import VirtualRoots
from tokenprov.sim.models import MODELS
from tokenprov.sim.token import VirtualToken

SERIAL = 28557046
PIN = "123456"
PUK = "12345678"


@functools.cache
def roots() -> VirtualRoots:
    """The authorities of this test run."""
    return VirtualRoots.create()


class Contact(SmartCardConnection):
    """yubikit's connection to a virtual PIV token, with a clock and a finger of the test's."""

    def __init__(self, model: str = "yubikey-5.7.4", *, serial: int | None = SERIAL) -> None:
        self.now = 1000.0
        self.touches: list[bool] = []
        self.touched = 0
        self.saved: list[dict[str, Any]] = []
        self.model = dataclasses.replace(MODELS[model], unknown_aid_sw=0x6A82)
        self.token = VirtualToken(
            self.model,
            serial if self.model.has_serial else None,
            applets=lambda body, _: [self._make(body)],
            clock=lambda: self.now,
            store=self.saved.append,
        )

    def _make(self, body: Any) -> PivApplet:
        body.touch = self._touch
        self.applet = PivApplet(body, self.model, roots())
        return self.applet

    def _touch(self) -> bool:
        self.touched += 1
        return self.touches.pop(0) if self.touches else True

    @property
    def transport(self) -> TRANSPORT:
        """As if on USB."""
        return TRANSPORT.USB

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        answer = self.token.transmit(apdu)
        return answer[:-2], int.from_bytes(answer[-2:])

    def close(self) -> None:
        """Nothing to do."""

    def session(self) -> PivSession:
        """A new session of the client library; a YubiKey only."""
        return PivSession(self)

    def select(self) -> bytes:
        """Select PIV; gives the answer."""
        return self.ok(b"\x00\xa4\x04\x00\x05" + AID.PIV)

    def ok(self, apdu: bytes) -> bytes:
        """Send what must succeed."""
        data, sw = self.send_and_receive(apdu)
        assert sw == 0x9000, f"{apdu[:5].hex()} answered {sw:04x}"
        return data

    def sw(self, head: str, data: bytes = b"") -> int:
        """The status word for a command, its header in hex."""
        apdu = bytes.fromhex(head) + (bytes([len(data)]) + data if data else b"")
        return self.send_and_receive(apdu)[1]

    def authenticated(self) -> PivSession:
        """A session with the default management key and the default PIN given."""
        session = self.session()
        session.authenticate(bytes.fromhex("0102030405060708" * 3))
        session.verify_pin(PIN)
        return session
