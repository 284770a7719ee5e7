"""Whether the PINs of a token behind a module can be set and tried: their form, and their tries.

PKCS #11 tells no number of tries, only that few are left (CK_TOKEN_INFO.flags; 3.1).
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationBlocked, AuthenticationFailed, NotSupported
from tokenprov.secret import Secret
from tokenprov.step import Finding, conflict
from tokenprov.token import Token

KEYPAD = "PROTECTED_AUTHENTICATION_PATH"
LOCKED, LAST = "SO_PIN_LOCKED", "SO_PIN_FINAL_TRY"
FEW_TRIES = frozenset({LAST, "SO_PIN_COUNT_LOW"})


def require_settable(token: Token, what: str, length: int) -> None:
    """Raises `NotSupported` where a PIN of so many digits cannot be drawn and set."""
    applet = token.pkcs11()
    if KEYPAD in applet.info().flags:
        raise NotSupported(
            f"token {token.id.label}: its PINs are typed on a keypad, and not set by programs",
            remedy="Put it into a reader without a keypad, or have its module not use that"
            " (OpenSC: enable_pinpad = false).",
        )
    least, most = applet.pin_lengths()
    if most and not least <= length <= most:  # zeros: it does not say
        raise NotSupported(
            f"token {token.id.label}: its PINs have {least} to {most} characters, and its {what}"
            f" is to have {length}",
            remedy=f"Write another length for the {what} in the profile.",
        )


def is_officer(token: Token, so_pin: Secret) -> bool:
    """Whether that is the SO PIN; spends a try when it is not. Raises `AuthenticationBlocked`."""
    try:
        token.pkcs11().log_in_officer(so_pin)
    except AuthenticationBlocked:
        raise
    except AuthenticationFailed:
        return False
    return True


def officer_refused(token: Token, so_pin: Secret) -> Finding | None:
    """Why nothing can be done with that SO PIN, which is tried; None where it is in force."""
    flags = token.pkcs11().info().flags
    if LOCKED in flags:
        return conflict("its SO PIN is locked")
    if flags & FEW_TRIES:
        return conflict("its SO PIN has too few tries left to be tried")
    if not is_officer(token, so_pin):
        return conflict("its SO PIN is not the one in escrow")
    return None
