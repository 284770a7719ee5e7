"""A token with one application: every other one is said to be missing."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tokenprov.device.pcsc import ReaderState
from tokenprov.errors import NotSupported
from tokenprov.model import TokenId, TokenKind
from tokenprov.step import Operator
from tokenprov.token import (
    FidoApplet,
    HsmAuthApplet,
    Keyring,
    ManagementApplet,
    OathApplet,
    OpenPgpApplet,
    OtpApplet,
    PivApplet,
    Pkcs11Applet,
    SecureChannel,
    SecurityDomainApplet,
)


class Alone:
    """Implements `token.Token` but for the one application, which raises nothing.

    What is given says what it is called, and which section of a profile is for it.
    """

    kind: TokenKind
    called: str
    section: str
    firmware = (0, 0, 0)  # nothing in a profile asks for it
    is_fips = False
    applications: tuple[str, ...] = ()  # none that can be put back to the factory's
    moved: ReaderState | None = None  # it never restarts
    restarting = False

    def __init__(self, token: TokenId, reader: str, operator: Operator) -> None:
        self.id, self.reader = token, reader
        self._operator = operator
        self.keyring = Keyring()

    def piv(self) -> PivApplet:
        """Raises `NotSupported`."""
        raise self._without("PIV")

    def pkcs11(self) -> Pkcs11Applet:
        """Raises `NotSupported`."""
        raise self._without("a PKCS#11 module that it was opened through")

    def otp(self) -> OtpApplet:
        """Raises `NotSupported`."""
        raise self._without("OTP")

    def fido2(self) -> FidoApplet:
        """Raises `NotSupported`."""
        raise self._without("FIDO2")

    def management(self) -> ManagementApplet:
        """Raises `NotSupported`."""
        raise self._without("a device configuration")

    def security_domain(self) -> SecurityDomainApplet:
        """Raises `NotSupported`."""
        raise self._without("a security domain that is used here")

    def oath(self) -> OathApplet:
        """Raises `NotSupported`."""
        raise self._without("OATH")

    def openpgp(self) -> OpenPgpApplet:
        """Raises `NotSupported`."""
        raise self._without("OpenPGP")

    def hsmauth(self) -> HsmAuthApplet:
        """Raises `NotSupported`."""
        raise self._without("YubiHSM Auth")

    def secure(self, channel: SecureChannel | None) -> None:
        """Raises `NotSupported` for any channel."""
        if channel is not None:
            raise self._without("a secure channel that is used here")

    def reset(self, application: str) -> None:
        """Raises `NotSupported`."""
        raise self._without("a command that puts it back to the factory's")

    def touch(self, reason: str) -> AbstractContextManager[None]:
        """Ask the operator to touch it; nothing that is set here waits for that."""
        return self._operator.touch(self.reader, self.id.label, reason)

    def _without(self, what: str) -> NotSupported:
        return NotSupported(
            f"token {self.id.label}: {self.called} has not {what}",
            remedy=f"Use a profile with [{self.section}] alone, or insert a YubiKey.",
        )
