"""What a module's refusals mean, by the names of PKCS #11's return values (3.1, 5.1), as errors."""

from __future__ import annotations

from tokenprov.errors import (
    AuthenticationBlocked,
    AuthenticationFailed,
    NotSupported,
    ReaderBusy,
    TokenError,
    TokenGone,
    TokenRefused,
    TokenReset,
    WrongToken,
)

_WRONG_PIN = {"PinIncorrect", "PinExpired"}
_BAD_PIN = {"PinInvalid", "PinLenRange", "PinTooWeak"}  # of a form that it does not take
_LOCKED = {"PinLocked"}
_TWO_TOKENS = "SerialTwice"
_GONE = {
    *("TokenNotPresent", "DeviceRemoved", "TokenNotRecognised", "SlotIDInvalid"),
    *("SessionHandleInvalid", "SessionClosed"),
}
_RESET = "UserNotLoggedIn"  # though it was logged in
_BUSY = {  # what sessions of other programs keep from being done
    *("SessionExists", "SessionReadOnlyExists", "SessionReadWriteSOExists"),
    *("AnotherUserAlreadyLoggedIn", "UserAlreadyLoggedIn", "UserTooManyTypes"),
}
_MISSING = {
    *("MechanismInvalid", "FunctionNotSupported", "MechanismParamInvalid", "KeyTypeInconsistent"),
    *("TemplateInconsistent", "AttributeValueInvalid", "AttributeTypeInvalid"),
    *("CurveNotSupported", "DomainParamsInvalid", "KeySizeRange"),
}


def refusal(doing: str, failed: str, text: str) -> TokenError:
    """The error for what was refused while `doing`; `text` is what the module said beside it."""
    what = f"{doing}: {failed}{f' ({text})' if text else ''}"
    if failed in _WRONG_PIN:
        return AuthenticationFailed(
            f"{what}: the PIN was refused",
            remedy="The token holds a PIN that is not ours; it is not tried again.",
        )
    if failed in _BAD_PIN:
        return AuthenticationFailed(
            f"{what}: the PIN was refused, as it is of a form that the token does not take",
            remedy="Ask its maker how long its PINs are and of what characters; the lengths are set"
            " in the profile.",
        )
    if failed in _LOCKED:
        return AuthenticationBlocked(
            f"{what}: the PIN is locked",
            remedy="A locked user PIN is set anew with the SO PIN, from escrow: tokenprov unblock;"
            " for a locked SO PIN set the token aside.",
            retries_left=0,
        )
    if failed in _GONE:
        return TokenGone(what, remedy="Insert the same token again; the work goes on where it was.")
    if failed == _RESET:
        return TokenReset(what, remedy="Another program reset the token; it is read again.")
    if failed in _BUSY:
        return ReaderBusy(
            f"{what}: another program has a session with it",
            remedy="Close it (a browser, a mail program, an agent), and run it again.",
        )
    if failed == _TWO_TOKENS:
        return WrongToken(
            f"{doing}: two tokens say one serial",
            remedy="Take one of them out, and set both aside if they are real ones.",
        )
    if failed in _MISSING:
        return NotSupported(
            f"{what}: this token, or its module, cannot do it",
            remedy="Use another algorithm, another token or another module.",
        )
    return TokenRefused(
        what, remedy="Insert the token again; if it stays so, set it aside.", code=0
    )
