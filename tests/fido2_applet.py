"""A virtual FIDO applet in the process, as `fido2` sees a device; no test is in this module."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin, PinProtocol
from fido2.hid import CAPABILITY, CTAPHID

from tokenprov.sim.apdu import Command, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.applets.fido2 import Fido2Applet
from tokenprov.sim.models import MODELS

MODEL = "yubikey-5.7.4"
SERIAL = 31415926
PIN = "4719-blue"


@dataclass
class World:
    """What surrounds an applet, under the test's control."""

    model: str = MODEL
    serial: int | None = SERIAL
    now: float = 1000.0
    finger: bool = True
    touches: int = 0
    saves: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.body = Body(
            version=MODELS[self.model].version,
            serial=self.serial,
            random=os.urandom,
            clock=lambda: self.now,
            touch=self.touch,
            spend=lambda _: None,
            save=lambda: self.saves.append(self.applet.dump()),
            powered_at=self.now,
        )
        self.applet = Fido2Applet(self.body, MODELS[self.model])

    def touch(self) -> bool:
        """The user's answer."""
        self.touches += 1
        return self.finger

    def reinsert(self) -> None:
        """Pull the token and plug it in again."""
        self.now += 1
        self.body.powered_at = self.now
        self.applet.power_up()

    def send(self, message: bytes) -> bytes:
        """One CTAP2 message, through the applet's APDU."""
        return self.applet.process(Command(cla=0x80, ins=0x10, p1=0x80, p2=0, data=message))

    @property
    def ctap(self) -> Ctap2:
        """The applet in the hands of the maker's library."""
        return Ctap2(AppletDevice(self.applet))

    def set_pin(self, pin: str = PIN) -> None:
        """Give it a PIN."""
        ClientPin(self.ctap).set_pin(pin)

    def token(
        self,
        permissions: ClientPin.PERMISSION | int,
        rp_id: str | None = None,
        protocol: PinProtocol | None = None,
        pin: str = PIN,
    ) -> tuple[PinProtocol, bytes]:
        """A PIN/UV token and the protocol that it is for."""
        client = ClientPin(self.ctap, protocol)
        wanted = ClientPin.PERMISSION(permissions)
        return client.protocol, client.get_pin_token(pin, wanted, rp_id)


def refused(call: Callable[..., object], *args: Any, **given: Any) -> int:
    """The status with which a call of the library is refused."""
    with pytest.raises(CtapError) as error:
        call(*args, **given)
    return error.value.code


def shared_secret(client: ClientPin) -> tuple[dict[int, Any], bytes]:
    """A platform's key agreement key and the secret that it shares with the authenticator."""
    answer = client.ctap.client_pin(client.protocol.VERSION, ClientPin.CMD.GET_KEY_AGREEMENT)
    agreement, secret = client.protocol.encapsulate(answer[ClientPin.RESULT.KEY_AGREEMENT])
    return dict(agreement), secret


class AppletDevice(CtapDevice):
    """A CtapDevice over an applet's commands, with no card reader between."""

    def __init__(self, applet: Fido2Applet) -> None:
        self.applet = applet

    @property
    def capabilities(self) -> CAPABILITY:
        """Both CTAP1 and CTAP2 are tried."""
        return CAPABILITY.CBOR

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """One message: CTAP2 as it is, CTAP1 with its status word behind the answer."""
        if cmd == CTAPHID.CBOR:
            return self.applet.process(Command(cla=0x80, ins=0x10, p1=0x80, p2=0, data=data))
        try:
            cla, ins, p1, p2 = data[:4]  # CTAPHID_MSG frames always have three bytes of length
            body = data[7 : 7 + int.from_bytes(data[4:7], "big")]
            command = Command(cla=cla, ins=ins, p1=p1, p2=p2, data=body)
            return self.applet.process(command) + b"\x90\x00"
        except Refusal as refusal:
            return refusal.data + refusal.sw.to_bytes(2, "big")

    def close(self) -> None:
        """Nothing to close."""

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        """There are none to find."""
        return iter(())
