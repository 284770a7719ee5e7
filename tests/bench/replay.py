"""The floor: the same commands over PC/SC, and nothing else; prints the seconds that they took.

    python -m tests.bench.replay FILE READER

FILE is what `recorder` wrote. Timed is what a program cannot do without: a context, an exclusive
connection, each command and its answer, and the reset at the end; not the start of Python.

A token answers a replayed authentication with a refusal, as it should, and then refuses what would
have needed it: it computes less than it did for tokenprov. So what the card needs is taken from
tokenprov's run, and what the replay tells is the host's part: its wall time less its card's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from smartcard import scard


def replay(apdus: Sequence[bytes], reader: str) -> float:
    """Send them; the seconds. Raises RuntimeError where PC/SC does not carry one."""
    commands = [list(apdu) for apdu in apdus]
    began = time.perf_counter()
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    _check(code)
    code, card, protocol = scard.SCardConnect(
        context, reader, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1
    )
    _check(code)
    for command in commands:
        code, _ = scard.SCardTransmit(card, protocol, command)
        _check(code)
    scard.SCardDisconnect(card, scard.SCARD_RESET_CARD)
    scard.SCardReleaseContext(context)
    return time.perf_counter() - began


def _check(code: int) -> None:
    if code != scard.SCARD_S_SUCCESS:
        raise RuntimeError(scard.SCardGetErrorMessage(code))


def read_commands(path: Path) -> list[bytes]:
    """What `recorder` wrote."""
    return [bytes.fromhex(line) for line in path.read_text(encoding="ascii").splitlines()]


if __name__ == "__main__":
    print(replay(read_commands(Path(sys.argv[1])), sys.argv[2]))
