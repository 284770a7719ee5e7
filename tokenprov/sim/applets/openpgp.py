"""The OpenPGP application of a virtual YubiKey: OpenPGP card 3.4 (2.1 on old firmware).

This file answers SELECT and gives each command to its handler; see `openpgp_commands`,
`openpgp_access` and `openpgp_objects` for them, `openpgp_card` for the state, `openpgp_features`
for what a firmware knows.
"""

from __future__ import annotations

from typing import Any

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.applets.openpgp_card import OpenPgpCard
from tokenprov.sim.applets.openpgp_commands import HANDLERS
from tokenprov.sim.applets.openpgp_wire import Instruction, Status
from tokenprov.sim.attestation import VirtualRoots
from tokenprov.sim.models import Model

_MAKERS_CLASS = 0x80


class OpenPgpApplet:
    """OpenPGP on one token. `roots` are the authorities that attest, the bench's own if None."""

    name = "openpgp"

    def __init__(self, body: Body, model: Model, roots: VirtualRoots | None = None) -> None:
        self._card = OpenPgpCard(body, model, roots)
        self._selected = False
        self.aid = self._card.aid  # the whole one: clients select by its first six bytes

    @property
    def fips_approved(self) -> bool:
        """Whether PW1 and PW3 are both changed (for the management applet)."""
        return self._card.approved

    def select(self) -> bytes:
        """Become current. Answers nothing; a terminated application says 6285 (OPGP 7.2.1)."""
        if not self._selected:
            self._card.forget()
        self._selected = True
        if self._card.terminated:
            raise Refusal(Status.TERMINATED)
        return b""

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
        if command.ins not in self._card.features.instructions:
            raise Refusal(SW.INVALID_INSTRUCTION)
        instruction = Instruction(command.ins)
        if command.cla != (_MAKERS_CLASS if instruction is Instruction.ATTEST else 0):
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        if self._card.terminated and instruction is not Instruction.ACTIVATE_FILE:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        return HANDLERS[instruction](self._card, command)

    def dump(self) -> dict[str, Any]:
        """The lasting state; it holds the passwords and private keys."""
        return self._card.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self._card.load(state)
