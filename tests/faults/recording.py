"""What the recorded program leaves among the records of its disk (`machine`): marks of its own.

    p  a token is about to be told something; offset is its serial
    q  it answered; data is its whole lasting state, as JSON
    i  an order is told as issued; offset is the entry

Called in the program's process before it begins (`program.Program.run`).
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from smartcard import scard

from tokenprov.issuance import Issuance, Issuing
from tokenprov.sim.control import CONTROL_VARIABLE, SimControl

LOG = "FAULTS_LOG"  # the variable that names the file, as machine.c has it


def marked() -> None:
    """From now on the marks are left."""
    control = SimControl(os.environ[CONTROL_VARIABLE])
    serials = {line["reader"]: line["serial"] for line in control.tokens()}
    cards: dict[int, int] = {}
    log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND)
    connect, transmit, issue = scard.SCardConnect, scard.SCardTransmit, Issuing.__call__

    def mark(kind: str, number: int, data: bytes = b"") -> None:
        os.write(log, kind.encode() + struct.pack("<QQQQ", 0, 0, number, len(data)) + data)

    def connecting(context: int, reader: str, *how: int) -> Any:
        answer = connect(context, reader, *how)
        cards[answer[1]] = serials[reader]
        return answer

    def transmitting(card: int, protocol: int, apdu: list[int]) -> Any:
        mark("p", cards[card])
        answer = transmit(card, protocol, apdu)
        mark("q", cards[card], json.dumps(control.snapshot(cards[card])).encode())
        return answer

    def issuing(self: Issuing, issuance: Issuance) -> int:
        index = issue(self, issuance)
        mark("i", index)
        return index

    scard.SCardConnect, scard.SCardTransmit = connecting, transmitting
    Issuing.__call__ = issuing  # type: ignore[method-assign]  # what it does is marked
