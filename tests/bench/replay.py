"""The floor: a fresh token is waited for, its commands go out over PC/SC, and nothing else is done.

    python -m tests.bench.replay FILE READER

FILE is what `recorder` wrote. It says `waiting` when it waits for another token than the one in the
reader, `answered` when the last command was answered, and then the seconds from the connection to
the reset at the end. Timed is what a program cannot do without, and not the start of Python.

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

WAITING, ANSWERED = "waiting", "answered"
WAIT = 60_000  # milliseconds, after which the service is asked again


def replay(apdus: Sequence[bytes], reader: str) -> None:
    """Wait, send them, and say so. Raises RuntimeError where PC/SC does not carry one."""
    commands = [list(apdu) for apdu in apdus]
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    _check(code)
    _wait_for_another(context, reader)
    began = time.perf_counter()
    code, card, protocol = scard.SCardConnect(
        context, reader, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1
    )
    _check(code)
    for command in commands:
        code, _ = scard.SCardTransmit(card, protocol, command)
        _check(code)
    print(ANSWERED, flush=True)
    scard.SCardDisconnect(card, scard.SCARD_RESET_CARD)
    scard.SCardReleaseContext(context)
    print(time.perf_counter() - began, flush=True)


def _wait_for_another(context: int, reader: str) -> None:
    first = state = _changed(context, reader, scard.SCARD_STATE_UNAWARE)
    print(WAITING, flush=True)
    while state >> 16 == first >> 16 or not state & scard.SCARD_STATE_PRESENT:
        state = _changed(context, reader, state)


def _changed(context: int, reader: str, known: int) -> int:
    """The reader's state, with pcscd's count of events, as soon as it is another than `known`."""
    code, ((_, state, _),) = scard.SCardGetStatusChange(context, WAIT, [(reader, known)])
    if code != scard.SCARD_E_TIMEOUT:
        _check(code)
    return int(state) & ~int(scard.SCARD_STATE_CHANGED)


def _check(code: int) -> None:
    if code != scard.SCARD_S_SUCCESS:
        raise RuntimeError(scard.SCardGetErrorMessage(code))


def read_commands(path: Path) -> list[bytes]:
    """What `recorder` wrote."""
    return [bytes.fromhex(line) for line in path.read_text(encoding="ascii").splitlines()]


if __name__ == "__main__":
    replay(read_commands(Path(sys.argv[1])), sys.argv[2])
