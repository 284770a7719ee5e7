"""The FIDO interface of a token on the bus: what answers CTAPHID messages, with the faults.

A message counts as the APDU that would carry it over a smart-card interface (CTAP 2.1, 11.3.5), so
that a fault hits it there as here. An answer that is lost is never sent.
"""

from __future__ import annotations

from tokenprov.sim.apdu import Command, Refusal
from tokenprov.sim.applets.fido2 import CTAP_CLASS, Fido2Applet, Instruction
from tokenprov.sim.applets.management import P1_DEVICE_CONFIG, Ins
from tokenprov.sim.contact import Contact, Status
from tokenprov.sim.token import VirtualToken

APPLET, MANAGEMENT = "fido2", "management"
_MANAGEMENT = {0x40: Ins.SET_MODE, 0x42: Ins.READ_CONFIG, 0x43: Ins.WRITE_CONFIG}
SW_OK = 0x9000  # ISO/IEC 7816-4, table 5


class AnswerLost(Exception):
    """The token does not answer: it is gone, or its answer was lost on the way."""


class FidoBehind:
    """Implements `ctaphid.Authenticator` by the token at a contact."""

    def __init__(self, contact: Contact, token: VirtualToken) -> None:
        applet = token.applet(APPLET)
        assert isinstance(applet, Fido2Applet)
        self._authenticator, self._contact = applet.authenticator, contact

    @property
    def has_ctap2(self) -> bool:
        """Whether it speaks CTAP2."""
        return self._authenticator.has_ctap2

    @property
    def has_u2f(self) -> bool:
        """Whether there is U2F at the moment."""
        return self._authenticator.has_u2f

    def process(self, message: bytes) -> bytes:
        """Answer a CTAP2 message. Raises `AnswerLost`."""
        answer, _ = self._ask(
            Command(cla=CTAP_CLASS, ins=Instruction.MSG, p1=0, p2=0, data=message, extended=True)
        )
        return answer

    def process_u2f(self, command: Command) -> bytes:
        """Answer a U2F message. Raises `Refusal` and `AnswerLost`."""
        answer, sw = self._ask(command)
        if sw != SW_OK:
            raise Refusal(sw, answer)
        return answer

    def process_vendor(self, command: int, data: bytes) -> bytes | None:
        """The management applet's commands, by which a token without CCID tells its serial."""
        found = _MANAGEMENT.get(command)
        if found is None:
            return None
        if found is Ins.READ_CONFIG:
            asked = Command(cla=0, ins=found, p1=data[0] if data else 0, p2=0)
        else:
            p1 = P1_DEVICE_CONFIG if found is Ins.SET_MODE else 0
            asked = Command(cla=0, ins=found, p1=p1, p2=0, data=data)
        answer, sw = self._ask(asked, MANAGEMENT)
        return answer if sw == SW_OK else None

    def _ask(self, command: Command, applet: str = APPLET) -> tuple[bytes, int]:
        raw = bytes([command.cla, command.ins, command.p1, command.p2]) + command.data
        status, answer = self._contact.exchange(raw, lambda token: token.ask(applet, command))
        if status is not Status.DONE:
            raise AnswerLost
        return answer[:-2], int.from_bytes(answer[-2:], "big")
