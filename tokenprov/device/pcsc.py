"""PC/SC: readers, their state, and an exclusive connection to the token in one.

Rules:
- The share mode is exclusive or nothing: two programs on one token undo each other's PINs. A
  sharing violation names the programs that use PC/SC; none of them is ever killed.
- A connection is closed with a reset of the card, so that no verified PIN outlives it.
- A context dies with pcscd: every error that says so ends the connection, and the next one makes
  a new context.

PC/SC part 5; pcsclite's pcsclite.h for the codes.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType

from smartcard import scard
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection

from tokenprov.device.hid import plugged_in
from tokenprov.device.watch import Watch
from tokenprov.errors import (
    PcscUnavailable,
    ReaderBusy,
    TokenGone,
    TokenRefused,
    TokenReset,
)

log = logging.getLogger(__name__)

SHORTEST_WAIT = 0.005  # seconds, also where a state that never settles ends each wait at once
MAX_READERS = 16  # PCSCLITE_MAX_READERS_CONTEXTS
LOOKS = 2 * MAX_READERS  # in a row, at each of which a reader leaves
POWER_UP = 1.0  # seconds that a token may take from its insertion until it has power and answers


class Code(IntEnum):
    """PC/SC return codes that have a meaning here."""

    OK = 0
    INTERNAL = 0x80100001
    CANCELLED = 0x80100002
    INVALID_HANDLE = 0x80100003
    TIMEOUT = 0x8010000A
    SHARING_VIOLATION = 0x8010000B
    NO_SMARTCARD = 0x8010000C
    UNKNOWN_READER = 0x80100009
    NOT_TRANSACTED = 0x80100016
    READER_UNAVAILABLE = 0x80100017
    NO_SERVICE = 0x8010001D
    SERVICE_STOPPED = 0x8010001E
    COMM_ERROR = 0x8010002F
    NO_READERS = 0x8010002E
    UNRESPONSIVE_CARD = 0x80100066
    UNPOWERED_CARD = 0x80100067
    RESET_CARD = 0x80100068
    REMOVED_CARD = 0x80100069
    SECURITY_VIOLATION = 0x8010006A  # the service closed the socket: it ends, or lets nobody in


_GONE = {
    Code.NO_SMARTCARD,
    Code.UNKNOWN_READER,
    Code.NOT_TRANSACTED,
    Code.READER_UNAVAILABLE,
    Code.COMM_ERROR,
    Code.UNRESPONSIVE_CARD,
    Code.UNPOWERED_CARD,
    Code.REMOVED_CARD,
    Code.NO_READERS,
}
_WITHOUT_POWER = {Code.UNPOWERED_CARD, Code.UNRESPONSIVE_CARD}
_SERVICE = {
    Code.NO_SERVICE,
    Code.SERVICE_STOPPED,
    Code.INVALID_HANDLE,
    Code.INTERNAL,
    Code.SECURITY_VIOLATION,
}


def _raise(hresult: int, reader: str, doing: str) -> None:
    code = hresult & 0xFFFFFFFF
    if code == Code.OK:
        return
    where = f"reader {reader}" if reader else "PC/SC"
    text = f"{where}: {doing}: {scard.SCardGetErrorMessage(hresult).strip()} (0x{code:08X})"
    if code == Code.SHARING_VIOLATION:
        holders = pcsc_programs()
        named = ", ".join(holders) if holders else "a program that does not show itself"
        raise ReaderBusy(
            f"reader {reader} is in use by another program ({named})",
            remedy="Close that program, or stop it if it is scdaemon (gpgconf --kill scdaemon),"
            " and the token is taken up again.",
            holders=holders,
        )
    if code == Code.RESET_CARD:
        raise TokenReset(text, remedy="Another program reset the token; it is read again.")
    if code in _GONE:
        raise TokenGone(text, remedy="Insert the same token again; the work goes on where it was.")
    if code in _SERVICE:
        raise PcscUnavailable(
            text, remedy="Start the PC/SC service (systemctl start pcscd), then run it again."
        )
    raise TokenRefused(text, remedy="Insert the token again.", code=code)


def pcsc_programs() -> tuple[str, ...]:
    """Other programs that have the PC/SC client library loaded, as "name (pid)".

    pcscd does not tell who holds a reader; who has libpcsclite mapped is what can be seen from
    /proc with the rights of the caller.
    """
    found = []
    for maps in Path("/proc").glob("[0-9]*/maps"):
        pid = int(maps.parent.name)
        if pid == os.getpid():
            continue
        try:
            if b"libpcsclite.so" not in maps.read_bytes():
                continue
            name = (maps.parent / "comm").read_text().strip()
        except OSError:  # another user's, or gone meanwhile
            continue
        if name != "pcscd":
            found.append(f"{name} ({pid})")
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderState:
    """One reader at one moment; `events` counts insertions and removals where pcscd tells."""

    name: str
    present: bool
    in_use: bool
    events: int


class Context:
    """A PC/SC context. Not for use by two threads at once; each worker has its own."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, int]] = []  # the readers' states at the last look
        hresult, self._handle = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
        _raise(hresult, "", "connecting to the service")

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the context back; a dead service is no error here."""
        scard.SCardReleaseContext(self._handle)

    def readers(self) -> tuple[str, ...]:
        """The names of the readers there are now."""
        hresult, names = scard.SCardListReaders(self._handle, [])
        if hresult & 0xFFFFFFFF == Code.NO_READERS:
            return ()
        _raise(hresult, "", "listing readers")
        return tuple(names)

    def states(self) -> tuple[ReaderState, ...]:
        """The readers and whether a token is in each, and tokens on USB that have no reader."""
        return self.reader_states() + tuple(
            ReaderState(name=token.reader, present=True, in_use=False, events=token.number)
            for token in plugged_in()
            if not token.has_ccid
        )

    def reader_states(self) -> tuple[ReaderState, ...]:
        """The readers and whether a token is in each.

        Readers may come and go all the while. Raises `PcscUnavailable`.
        """
        self._seen = []
        for _ in range(LOOKS):
            names = self.readers()
            if not names:
                return ()
            unaware = [(name, scard.SCARD_STATE_UNAWARE) for name in names]
            hresult, states = scard.SCardGetStatusChange(self._handle, 0, unaware)
            if hresult & 0xFFFFFFFF != Code.UNKNOWN_READER:  # one left since they were listed
                break
        else:
            raise PcscUnavailable(
                f"PC/SC: a reader that it lists was not there, {LOOKS} times in a row",
                remedy="Look for a reader or a hub with a loose contact, then run it again.",
            )
        if hresult & 0xFFFFFFFF not in (Code.OK, Code.TIMEOUT):
            _raise(hresult, "", "reading reader states")
        self._seen = [(name, state & ~scard.SCARD_STATE_CHANGED) for name, state, _ in states]
        return tuple(
            ReaderState(
                name=name,
                present=bool(state & scard.SCARD_STATE_PRESENT),
                in_use=bool(state & (scard.SCARD_STATE_EXCLUSIVE | scard.SCARD_STATE_INUSE)),
                events=(state >> 16) & 0xFFFF,
            )
            for name, state, _atr in states
        )

    def wait(self, seconds: float) -> None:
        """Wait until something changes in a reader that `states` saw, or `stop_waiting`.

        At most so many seconds, within which a new reader does not show. What became of the service
        meanwhile is for the next look to find.
        """
        began = time.monotonic()
        if self._seen:
            scard.SCardGetStatusChange(self._handle, int(seconds * 1000), self._seen)
            seconds = SHORTEST_WAIT
        time.sleep(max(0.0, began + seconds - time.monotonic()))

    def stop_waiting(self) -> None:
        """End a `wait` in another thread now, if there is one."""
        scard.SCardCancel(self._handle)

    def connect(self, reader: str, watch: Watch | None = None) -> PcscConnection:
        """Connect exclusively to the token in a reader; `watch` hears of each command.

        One that was put in just now is present before it has power: it is asked again until then.
        Raises `ReaderBusy`, `TokenGone`, `PcscUnavailable`.
        """
        until = time.monotonic() + POWER_UP
        while True:
            hresult, card, protocol = scard.SCardConnect(
                self._handle,
                reader,
                scard.SCARD_SHARE_EXCLUSIVE,
                scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1,
            )
            if hresult & 0xFFFFFFFF not in _WITHOUT_POWER or time.monotonic() >= until:
                break
            time.sleep(SHORTEST_WAIT)
        _raise(hresult, reader, "connecting")
        return PcscConnection(card, protocol, reader, watch)


class PcscConnection(SmartCardConnection):
    """An exclusive connection; `send_and_receive` is its one verb."""

    def __init__(self, card: int, protocol: int, reader: str, watch: Watch | None = None) -> None:
        self._card: int | None = card
        self.watch = watch
        self._protocol = protocol
        self.reader = reader
        hresult, _, _, _, atr = scard.SCardStatus(card)
        _raise(hresult, reader, "reading the ATR")
        self.atr = bytes(atr)

    @property
    def transport(self) -> TRANSPORT:
        """USB, or NFC where the reader says contactless in the ATR (PC/SC part 3, 3.1.3.2.3)."""
        # 3B 8X 80 01 ...: the ATR that a reader makes up for a contactless card
        contactless = self.atr[1:2] and self.atr[1] & 0xF0 == 0x80 and self.atr[2:4] == b"\x80\x01"
        return TRANSPORT.NFC if contactless else TRANSPORT.USB

    @property
    def t0(self) -> bool:
        """Whether the card speaks T=0, which knows no command with both data and Le."""
        return bool(self._protocol == scard.SCARD_PROTOCOL_T0)

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """Send one command APDU; give the data and the status word of the response."""
        if self._card is None:
            raise TokenGone(
                f"reader {self.reader}: the connection is closed",
                remedy="Insert the same token again; the work goes on where it was.",
            )
        if self.watch is not None:
            self.watch.sending()
        hresult, response = scard.SCardTransmit(self._card, self._protocol, list(apdu))
        if self.watch is not None:
            self.watch.answered()
        if hresult != scard.SCARD_S_SUCCESS:
            self.close()
            _raise(hresult, self.reader, "sending a command")
        if len(response) < 2:
            self.close()
            raise TokenGone(
                f"reader {self.reader}: an answer without a status word",
                remedy="Insert the same token again; the work goes on where it was.",
            )
        return bytes(response[:-2]), int(response[-2]) << 8 | int(response[-1])

    def close(self) -> None:
        """Reset the card and let the reader go."""
        if self._card is not None:
            scard.SCardDisconnect(self._card, scard.SCARD_RESET_CARD)
            self._card = None


@contextmanager
def connected(reader: str, watch: Watch | None = None) -> Iterator[PcscConnection]:
    """A connection on a context of its own, closed at the end."""
    with Context() as context:
        connection = context.connect(reader, watch)
        try:
            yield connection
        finally:
            connection.close()
