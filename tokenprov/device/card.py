"""A smart card that is no YubiKey, on an exclusive connection: PIV by SP 800-73-4, and no more.

Rules:
- Nothing of any maker's is sent to it: SELECT, and the commands of the standard.
- It is named by its CHUID (`piv_card_identity`); a card without one has no serial until it is
  given one (`name`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NoReturn

from tokenprov.device.atr import maker_of
from tokenprov.device.iso7816 import Exchange
from tokenprov.device.pcsc import PcscConnection, ReaderState
from tokenprov.device.piv_card import PivCardApplet
from tokenprov.errors import NotSupported
from tokenprov.model import TokenId, TokenKind
from tokenprov.step import Operator
from tokenprov.token import Keyring, SecureChannel


class PivCard:
    """Implements `token.Token` for a PIV card."""

    kind = TokenKind.PIV_CARD
    firmware = (0, 0, 0)  # the standard has no command that tells one
    is_fips = False
    applications = ()  # none that can be put back to the factory's
    moved: ReaderState | None = None  # it never restarts
    restarting = False

    def __init__(self, connection: PcscConnection, operator: Operator) -> None:
        """Raises `NotSupported` for a card that has no PIV."""
        self._operator = operator
        self._piv = PivCardApplet(Exchange(connection, t0=connection.t0))
        self.keyring = Keyring()
        self.reader = connection.reader
        self.id = TokenId(
            maker=maker_of(connection.atr),
            model="PIV card",
            firmware="",
            serial=self._piv.serial(),
        )

    def piv(self) -> PivCardApplet:
        """PIV, which is selected all the time."""
        return self._piv

    def otp(self) -> NoReturn:
        """Raises `NotSupported`."""
        raise self._without("OTP")

    def fido2(self) -> NoReturn:
        """Raises `NotSupported`."""
        raise self._without("FIDO2")

    def management(self) -> NoReturn:
        """Raises `NotSupported`."""
        raise self._without("a device configuration")

    def security_domain(self) -> NoReturn:
        """Raises `NotSupported`."""
        raise self._without("a security domain that is used here")

    def oath(self) -> NoReturn:
        """Raises `NotSupported`."""
        raise self._without("OATH")

    def openpgp(self) -> NoReturn:
        """Raises `NotSupported`."""
        raise self._without("OpenPGP")

    def hsmauth(self) -> NoReturn:
        """Raises `NotSupported`."""
        raise self._without("YubiHSM Auth")

    def secure(self, channel: SecureChannel | None) -> None:
        """Raises `NotSupported` for any channel."""
        if channel is not None:
            raise self._without("a secure channel that is used here")

    def reset(self, application: str) -> NoReturn:
        """Raises `NotSupported`: the standard has no command for it."""
        raise self._without("a command that puts it back to the factory's")

    def touch(self, reason: str) -> AbstractContextManager[None]:
        """Ask the operator to touch it; nothing that is set here waits for that."""
        return self._operator.touch(self.reader, self.id.label, reason)

    def _without(self, what: str) -> NotSupported:
        return NotSupported(
            f"card {self.id.label}: a PIV card has not {what}",
            remedy="Use a profile with [piv] alone, or insert a YubiKey.",
        )
