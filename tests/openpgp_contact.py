"""A virtual OpenPGP token in this process, with the maker's client library on its contact."""

from __future__ import annotations

from typing import Any

from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection
from yubikit.openpgp import OpenPgpSession

from tests.piv_contact import roots
from tokenprov.sim.applet import Body
from tokenprov.sim.applets.openpgp import OpenPgpApplet
from tokenprov.sim.models import MODELS
from tokenprov.sim.token import VirtualToken

SERIAL = 23852774  # of the key of firmware 5.4.3 whose exchanges are public
PIN, ADMIN_PIN = "123456", "12345678"


class Contact(SmartCardConnection):
    """yubikit's connection to a virtual OpenPGP token, with a clock and a finger of the test's."""

    def __init__(self, model: str = "yubikey-5.7.4", *, serial: int = SERIAL) -> None:
        self.now = 1000.0
        self.touches: list[bool] = []
        self.touched = 0
        self.saved: list[dict[str, Any]] = []
        self.model = MODELS[model]
        self.token = VirtualToken(
            self.model,
            serial,
            applets=lambda body, _: [self._make(body)],
            clock=lambda: self.now,
            store=self.saved.append,
        )

    def _make(self, body: Body) -> OpenPgpApplet:
        body.touch = self._touch
        return OpenPgpApplet(body, self.model, roots())

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

    def session(self) -> OpenPgpSession:
        """A new session of the client library."""
        return OpenPgpSession(self)

    def authenticated(self) -> OpenPgpSession:
        """A session with PW1 in both ways and PW3 given, all from the factory."""
        session = self.session()
        session.verify_admin(ADMIN_PIN)
        session.verify_pin(PIN)
        session.verify_pin(PIN, extended=True)
        return session

    def exchange(self, apdu: str) -> str:
        """One exchange in hex, with the status word at the end, as recordings have it."""
        return self.token.transmit(bytes.fromhex(apdu)).hex()

    def sw(self, apdu: str) -> int:
        """The status word for a command in hex."""
        return int(self.exchange(apdu)[-4:], 16)
