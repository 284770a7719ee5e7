"""A smart card that is no YubiKey, on an exclusive connection: PIV by SP 800-73-4, and no more.

Rules:
- Nothing of any maker's is sent to it: SELECT, and the commands of the standard.
- It is named by its CHUID (`piv_card_identity`); a card without one has no serial until it is
  given one.
"""

from __future__ import annotations

from tokenprov.device.alone import Alone
from tokenprov.device.atr import maker_of
from tokenprov.device.iso7816 import Exchange
from tokenprov.device.pcsc import PcscConnection
from tokenprov.device.piv_card import PivCardApplet
from tokenprov.model import TokenId, TokenKind
from tokenprov.step import Operator


class PivCard(Alone):
    """Implements `token.Token` for a PIV card."""

    kind = TokenKind.PIV_CARD
    called = "a PIV card"
    section = "piv"

    def __init__(self, connection: PcscConnection, operator: Operator) -> None:
        """Raises `NotSupported` for a card that has no PIV."""
        self._piv = PivCardApplet(Exchange(connection, t0=connection.t0))
        token = TokenId(
            maker=maker_of(connection.atr),
            model="PIV card",
            firmware="",
            serial=self._piv.serial(),
        )
        super().__init__(token, connection.reader, operator)

    def piv(self) -> PivCardApplet:
        """PIV, which is selected all the time."""
        return self._piv
