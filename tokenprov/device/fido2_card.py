"""FIDO2 over CCID: yubikit's device, whose first getInfo is not asked for a second time."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from fido2.ctap import STATUS
from fido2.ctap2.base import Ctap2
from fido2.hid import CTAPHID
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.core.smartcard import SmartCardConnection

GET_INFO = bytes([Ctap2.CMD.GET_INFO])


class CardDevice(SmartCardCtapDevice):
    """Its constructor asks for getInfo to see whether there is CTAP2; who opens it asks next."""

    def __init__(self, connection: SmartCardConnection) -> None:
        self._answer: bytes | None = None
        self._opening = True
        super().__init__(connection)
        self._opening = False

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """As the library's; the first getInfo after opening is the one that opening read."""
        remembered, self._answer = self._answer, None
        if remembered is not None and cmd == CTAPHID.CBOR and data == GET_INFO:
            return remembered
        answer: bytes = super().call(cmd, data, event, on_keepalive)
        if self._opening:
            self._answer = answer
        return answer
