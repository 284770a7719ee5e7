"""The FIDO applet over smart-card transports (CTAP 2.1, 11.3 "NFC"; U2F over APDUs).

Rules. SELECT answers "U2F_V2", or "FIDO_2_0" while there is no U2F (CTAP 2.1, 11.3.4). CTAP2
messages come in NFCCTAP_MSG and are answered at once, so that there is never anything for
NFCCTAP_GETRESPONSE to wait for. U2F messages are APDUs of their own. `power_up` stands for new
power: a token that hangs on USB keeps its power when a reader resets the card.
"""

from __future__ import annotations

import functools
from enum import IntEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body, Version
from tokenprov.sim.attestation import VirtualRoots, bench_roots
from tokenprov.sim.ctap.authenticator import CtapAuthenticator
from tokenprov.sim.ctap.features import Features
from tokenprov.sim.ctap.u2f import VERSION as U2F_V2
from tokenprov.sim.models import Model

FIDO_2_0 = b"FIDO_2_0"
CTAP_CLASS = 0x80  # CTAP 2.1, 11.3.5


class Instruction(IntEnum):
    """Instructions of class 80 (CTAP 2.1, 11.3.5 to 11.3.7)."""

    MSG = 0x10
    GET_RESPONSE = 0x11
    CONTROL = 0x12


class ControlAction(IntEnum):
    """P1 of NFCCTAP_CONTROL (CTAP 2.1, 11.3.6)."""

    END = 0x01


@functools.cache
def _attestation(
    roots: VirtualRoots, aaguid: bytes, serial: int | None, version: Version
) -> tuple[ec.EllipticCurvePrivateKey, list[bytes]]:
    """The attestation key and x5c that the tokens of a model share on one bench."""
    return roots.fido_attestation(aaguid, serial, version=version)


class Fido2Applet:
    """The applet: CTAP2 where the model has it, and U2F."""

    name = "fido2"
    aid = bytes.fromhex("a0000006472f0001")

    def __init__(self, body: Body, model: Model) -> None:
        def attestation(serial: int | None) -> tuple[ec.EllipticCurvePrivateKey, list[bytes]]:
            return _attestation(bench_roots(), model.aaguid, serial, model.version)

        self._fips = model.fips
        self._features = Features.of(model, has_serial=body.serial is not None)
        self.authenticator = CtapAuthenticator(body, self._features, model.aaguid, attestation)

    def select(self) -> bytes:
        """Say what is spoken here."""
        return U2F_V2 if self.authenticator.u2f.enabled else FIDO_2_0

    def deselect(self) -> None:
        """Nothing of it holds only while selected."""

    def process(self, command: Command) -> bytes:
        """Answer one command. Raises `Refusal`."""
        if command.cla != CTAP_CLASS:
            return self.authenticator.u2f.process(command)
        if not self._features.ctap2:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        if command.ins == Instruction.MSG:
            return self.authenticator.process(command.data)
        if command.ins == Instruction.GET_RESPONSE:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        if command.ins == Instruction.CONTROL and command.p1 == ControlAction.END:
            return b""
        raise Refusal(SW.INVALID_INSTRUCTION)

    def power_up(self) -> None:
        """Forget all volatile state."""
        self.authenticator.power_up()

    @property
    def fips_approved(self) -> bool:
        """Whether a FIPS key is set up as its security policy asks: with a PIN."""
        return self._fips and self.authenticator.has_pin

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return self.authenticator.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self.authenticator.load(state)
