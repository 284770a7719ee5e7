"""An OpenPGP session that reads no data object twice: what was read and not changed since is known.

A connection is exclusive, so what is on the card changes by this session's own commands alone.
Rules, by OpenPGP card 3.4:
- A command for a password changes its tries, which stand in the application related data (7.2.2 to
  7.2.4), and nothing else that is read here.
- Every other command that is no read forgets all; only a new key derivation function (DO F9, 4.3.2)
  forgets the one that is known.
"""

from __future__ import annotations

from collections.abc import Callable

from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection
from yubikit.openpgp import DO, INS, OpenPgpSession

SELECT, GET_RESPONSE = 0xA4, 0xC0  # ISO/IEC 7816-4, 11.2.2 and 11.7.1
READ_PUBLIC_KEY = 0x81  # P1 of GENERATE ASYMMETRIC KEY PAIR; 7.2.14
_READS = frozenset({SELECT, GET_RESPONSE, INS.GET_DATA, INS.SELECT_DATA, INS.GET_VERSION})
_PASSWORDS = frozenset({INS.VERIFY, INS.CHANGE_PIN, INS.RESET_RETRY_COUNTER})
_RELATED = frozenset({DO.APPLICATION_RELATED_DATA, DO.PW_STATUS_BYTES})


class _Heard(SmartCardConnection):
    """A connection that tells each command before it sends it."""

    def __init__(self, below: SmartCardConnection, tell: Callable[[bytes], None]) -> None:
        self._below, self._tell = below, tell

    @property
    def transport(self) -> TRANSPORT:
        """That of the connection below."""
        return self._below.transport

    def close(self) -> None:
        """Close the one below."""
        self._below.close()

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        self._tell(apdu)
        return self._below.send_and_receive(apdu)


class RememberingSession(OpenPgpSession):
    """Everything else is as in the session below."""

    def __init__(self, connection: SmartCardConnection) -> None:
        self._known: dict[int, bytes] = {}
        super().__init__(_Heard(connection, self._sent))

    def get_data(self, do: DO) -> bytes:
        """From the card once, until a command may have changed it."""
        if do not in self._known:
            self._known[do] = super().get_data(do)
        return self._known[do]

    def _sent(self, apdu: bytes) -> None:
        ins, p1, p2 = apdu[1], apdu[2], apdu[3]
        if ins in _READS or (ins, p1) == (INS.GENERATE_ASYM, READ_PUBLIC_KEY):
            return
        if ins in _PASSWORDS:
            for do in _RELATED:
                self._known.pop(do, None)
            return
        kdf = self._known.get(DO.KDF)
        self._known.clear()
        if ins == INS.PUT_DATA and kdf is not None and (p1 << 8 | p2) != DO.KDF:
            self._known[DO.KDF] = kdf
