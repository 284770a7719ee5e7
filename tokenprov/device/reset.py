"""One application put back to the factory's, by the maker's commands and on one connection.

Rules:
- Each reset can be cut off anywhere and be done again: what blocks a PIN finds it blocked.
- An OTP slot behind an access code that is not known keeps what it has, and nobody's code is tried.
- FIDO2 is not here: it takes a reset only after it was put in again (reinsertion).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from yubikit.core.smartcard import SmartCardConnection
from yubikit.hsmauth import HsmAuthSession
from yubikit.management import CAPABILITY
from yubikit.oath import OathSession
from yubikit.openpgp import OpenPgpSession

from tokenprov.device.otp import Otp
from tokenprov.device.piv_session import Session
from tokenprov.device.translate import translated
from tokenprov.errors import NotSupported


class Application(StrEnum):
    """What is put back; those that may refuse come first, before anything is lost."""

    OTP = "otp"
    PIV = "piv"
    OATH = "oath"
    OPENPGP = "openpgp"
    HSMAUTH = "hsmauth"
    FIDO2 = "fido2"

    @property
    def capability(self) -> CAPABILITY:
        """The maker's switch for it."""
        return CAPABILITY[self.name]


def _otp(connection: SmartCardConnection) -> None:
    otp = Otp(connection)
    for slot in (2, 1):  # some firmware shows the slot that is deleted last until its next power-up
        if otp.configured(slot):
            otp.delete(slot)


def _piv(connection: SmartCardConnection) -> None:
    try:
        Session(connection).reset()
    except ValueError as error:  # the maker's library, for a token with fingerprints
        raise NotSupported(
            "resetting PIV: this token has fingerprints, and is reset as a whole",
            remedy="Reset the token with: ykman config reset",
        ) from error


_RESETS: Mapping[Application, Callable[[SmartCardConnection], None]] = {
    Application.OTP: _otp,
    Application.PIV: _piv,
    Application.OATH: lambda connection: OathSession(connection).reset(),
    Application.OPENPGP: lambda connection: OpenPgpSession(connection).reset(),
    Application.HSMAUTH: lambda connection: HsmAuthSession(connection).reset(),
}


def reset(connection: SmartCardConnection, application: Application) -> None:
    """Put it back. Raises `AuthenticationFailed` for an OTP slot behind an access code."""
    with translated(f"resetting {application}"):
        _RESETS[application](connection)
