"""One applet's own view of the connection: it is selected again when it is needed again.

Rules:
- One applet is selected at a time. Selecting another one takes away what the PIN or a key opened:
  the applet that is left is told.
- What needs no command needs no SELECT: an applet that is only asked for what is known of it stays
  where it is.
- The selection that is repeated is the session's own first one, whose answer tells nothing new.
"""

from __future__ import annotations

from collections.abc import Callable

from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SW, ApduError, SmartCardConnection

from tokenprov.device.secured import INS_SELECT, SELECT_BY_NAME

MORE = 0x6100  # the first byte of a status word that says that more of the answer waits


class Selection:
    """Who has the token's ear; None: nobody that can be kept."""

    def __init__(self) -> None:
        self._holder: object | None = None

    @property
    def holder(self) -> object | None:
        """Whoever selected last."""
        return self._holder

    def take(self, holder: object | None) -> None:
        """Somebody selects; the one before is told."""
        before, self._holder = self._holder, holder
        if isinstance(before, KeptConnection) and before is not holder:
            before.left()


class KeptConnection(SmartCardConnection):
    """For a session that is kept while other applets are selected."""

    def __init__(self, below: SmartCardConnection, selection: Selection) -> None:
        self._below, self._selection = below, selection
        self._select: bytes | None = None
        self.left: Callable[[], None] = lambda: None  # called when another applet is selected

    @property
    def transport(self) -> TRANSPORT:
        """That of the connection below."""
        return self._below.transport

    def close(self) -> None:
        """Close the one below."""
        self._below.close()

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One command to this applet. Raises `ApduError` where it cannot be selected again."""
        if apdu[1] == INS_SELECT and apdu[2] == SELECT_BY_NAME:
            self._select = bytes(apdu)
            self._selection.take(self)
        elif self._selection.holder is not self and self._select is not None:
            self._selection.take(self)
            data, sw = self._below.send_and_receive(self._select)
            if sw != SW.OK and sw & 0xFF00 != MORE:
                self._selection.take(None)
                raise ApduError(data, sw)
        return self._below.send_and_receive(apdu)
