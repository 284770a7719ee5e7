"""A card or key of any maker with FIDO2 on a smart-card reader, by NFC or CCID, and no more.

Rules:
- It is one whose FIDO application answers getInfo as CTAP has it (CTAP 2.1, 11.3): a card that
  answers to every name is none.
- It tells no serial, and is known again by a mark, as a Security Key is.
"""

from __future__ import annotations

from yubikit.core import ApplicationNotAvailableError

from tokenprov.device.alone import Alone
from tokenprov.device.atr import maker_of
from tokenprov.device.fido2 import Fido2
from tokenprov.device.fido2_card import CardDevice
from tokenprov.device.pcsc import PcscConnection
from tokenprov.device.translate import translated
from tokenprov.errors import NotSupported
from tokenprov.model import TokenId, TokenKind
from tokenprov.step import Operator


class FidoCard(Alone):
    """Implements `token.Token` for FIDO2 over PC/SC."""

    kind = TokenKind.SECURITY_KEY
    called = "a FIDO2 card"
    section = "fido2"
    applications = ("fido2",)

    def __init__(self, connection: PcscConnection, operator: Operator) -> None:
        """Raises `NotSupported` for a card without FIDO2, `TokenRefused` for senseless answers."""
        token = TokenId(
            maker=maker_of(connection.atr), model="FIDO2 card", firmware="", serial=None
        )
        super().__init__(token, connection.reader, operator)
        with translated("selecting FIDO2"):
            try:
                device = CardDevice(connection)
            except (ApplicationNotAvailableError, ValueError) as error:
                raise NotSupported(
                    "this card has no FIDO2", remedy="Use a token with FIDO2."
                ) from error
        self._fido2 = Fido2(device, self.touch)

    def fido2(self) -> Fido2:
        """FIDO2, which is selected all the time."""
        return self._fido2
