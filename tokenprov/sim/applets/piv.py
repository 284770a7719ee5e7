"""The PIV application of a virtual token: SP 800-73-4, and the maker's extensions on a YubiKey.

This file answers SELECT and gives each command to its handler; see `piv_commands` and
`piv_vendor` for them, `piv_card` for the state, `piv_features` for what a firmware knows.
"""

from __future__ import annotations

from typing import Any

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.applets.piv_card import PivCard
from tokenprov.sim.applets.piv_commands import STANDARD
from tokenprov.sim.applets.piv_objects import AID
from tokenprov.sim.applets.piv_vendor import VENDOR
from tokenprov.sim.applets.piv_wire import Instruction, tlv
from tokenprov.sim.attestation import VirtualRoots
from tokenprov.sim.models import Model

# Application property template (SP 800-73-4 part 2, table 3).
_TAG_PROPERTIES, _TAG_AID, _TAG_AUTHORITY, _TAG_LABEL = 0x61, 0x4F, 0x79, 0x50
_RID_BYTES = 5
_LABEL = b"Personal Identity Verification"

_HANDLERS = {**STANDARD, **VENDOR}


class PivApplet:
    """PIV on one token. `roots` are the authorities that attest, the bench's own if None."""

    name = "piv"
    aid = AID

    def __init__(self, body: Body, model: Model, roots: VirtualRoots | None = None) -> None:
        self._card = PivCard(body, model, roots)
        self._selected = False

    @property
    def fips_approved(self) -> bool:
        """Whether PIN, PUK and management key are all changed (for the management applet)."""
        return self._card.approved

    def select(self) -> bytes:
        """Become current. A second SELECT keeps the security status (SP 800-73-4 part 2, 3.1.1)."""
        if not self._selected:
            self._card.forget()
        self._selected = True
        properties = tlv(_TAG_AID, AID[_RID_BYTES:])
        properties += tlv(_TAG_AUTHORITY, tlv(_TAG_AID, AID[:_RID_BYTES]))
        if not self._card.features.vendor:
            properties += tlv(_TAG_LABEL, _LABEL)
        return tlv(_TAG_PROPERTIES, properties)

    def deselect(self) -> None:
        """Another application is current: the security status is gone."""
        self._selected = False
        self._card.forget()

    def power_up(self) -> None:
        """Power came, or a reset: the security status is gone, and nothing is selected."""
        self._selected = False
        self._card.forget()

    def process(self, command: Command) -> bytes:
        """Answer one command. Raises `Refusal`, 6D00 for what this firmware does not know."""
        features = self._card.features
        if command.ins not in features.instructions:
            raise Refusal(SW.INVALID_INSTRUCTION)
        instruction = Instruction(command.ins)
        if not features.vendor and instruction is not Instruction.GENERAL_AUTHENTICATE:
            self._card.pin_fresh = False  # "immediately before": any other command is between
        return _HANDLERS[instruction](self._card, command)

    def dump(self) -> dict[str, Any]:
        """The lasting state; it holds the PIN, the PUK and private keys."""
        return self._card.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self._card.load(state)
