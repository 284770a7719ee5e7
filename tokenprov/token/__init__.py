"""What a token can be asked, in the words of its standards. `device/` implements it.

Every method raises a `TokenError` (errors.py) and nothing else. Enumerations of wire values are
the maker's library's own: it is the vocabulary of the applets here, not a transport. Each applet
has its file; this one has the token around them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from tokenprov.model import TokenId, TokenKind
from tokenprov.token.fido2 import FidoApplet
from tokenprov.token.hsmauth import HsmAuthApplet
from tokenprov.token.keyring import Keyring
from tokenprov.token.management import ManagementApplet
from tokenprov.token.oath import OathApplet
from tokenprov.token.openpgp import OpenPgpApplet
from tokenprov.token.otp import OtpApplet
from tokenprov.token.piv import KeyState, PivApplet, Tries
from tokenprov.token.pkcs11 import Pkcs11Applet
from tokenprov.token.security_domain import Scp03, Scp11b, SecureChannel, SecurityDomainApplet

__all__ = [
    "FidoApplet",
    "HsmAuthApplet",
    "Keyring",
    "KeyState",
    "ManagementApplet",
    "OathApplet",
    "OpenPgpApplet",
    "OtpApplet",
    "PivApplet",
    "Pkcs11Applet",
    "Scp03",
    "Scp11b",
    "SecureChannel",
    "SecurityDomainApplet",
    "Token",
    "Tries",
]


class Token(Protocol):
    """A token on an exclusive connection. One applet at a time is selected."""

    @property
    def id(self) -> TokenId: ...
    @property
    def reader(self) -> str: ...
    @property
    def firmware(self) -> tuple[int, int, int]: ...
    @property
    def is_fips(self) -> bool: ...
    @property
    def kind(self) -> TokenKind: ...
    @property
    def keyring(self) -> Keyring: ...
    def piv(self) -> PivApplet: ...
    def otp(self) -> OtpApplet: ...
    def fido2(self) -> FidoApplet: ...
    def management(self) -> ManagementApplet: ...
    def security_domain(self) -> SecurityDomainApplet: ...
    def secure(self, channel: SecureChannel | None) -> None:
        """From now on, send every command to an applet through such a channel."""
        ...

    def oath(self) -> OathApplet: ...
    def openpgp(self) -> OpenPgpApplet: ...
    def hsmauth(self) -> HsmAuthApplet: ...
    def pkcs11(self) -> Pkcs11Applet: ...
    def touch(self, reason: str) -> AbstractContextManager[None]:
        """Around a command for which the token waits to be touched."""
        ...
