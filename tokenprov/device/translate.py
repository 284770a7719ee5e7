"""Library errors to ours: status words and CTAP codes get a meaning and a remedy here, once.

SP 800-73-4 part 2, table 12 for status words; CTAP 2.1, 8.2 for status codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fido2.ctap import CtapError
from yubikit.core import (
    ApplicationNotAvailableError,
    BadResponseError,
    CommandError,
    InvalidPinError,
    NotSupportedError,
)
from yubikit.core import TimeoutError as YubikitTimeout
from yubikit.core.otp import CommandRejectedError
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import KEY_TYPE

from tokenprov.errors import (
    AuthenticationBlocked,
    AuthenticationFailed,
    NotSupported,
    TokenRefused,
    TokenReset,
    TouchTimeout,
)

REFUSED = 0x63  # first byte, ISO/IEC 7816-4, table 6: a counter may follow
_IN_FOUR_BITS = (
    0xC0  # of the second byte; the first firmware counts in all eight (PIV 0.1 to 1.0.3)
)
KEY_IS_THERE = (SW.SECURITY_CONDITION_NOT_SATISFIED, SW.AUTH_METHOD_BLOCKED)  # asked to sign

_MISSING = {SW.INVALID_INSTRUCTION, SW.FUNCTION_NOT_SUPPORTED, SW.CLASS_NOT_SUPPORTED, 0x6A86}
_ACCIDENTS = {0x64, 0x65, 0x66, 0x6F}  # first bytes
_ABSENT = {SW.FILE_NOT_FOUND, SW.REFERENCE_DATA_NOT_FOUND, SW.RECORD_NOT_FOUND}


def is_absent(sw: int) -> bool:
    """Whether a status word says that what was asked for is not there."""
    return sw in _ABSENT


def is_missing(sw: int) -> bool:
    """Whether a status word says that the token has no such function."""
    return sw in _MISSING


def is_accident(sw: int) -> bool:
    """Whether a status word says that a command broke off, and nothing of what was asked.

    ISO/IEC 7816-4, table 5: execution errors, and "no precise diagnosis".
    """
    return sw >> 8 in _ACCIDENTS


def counts_tries(sw: int) -> bool:
    """Whether a status word says that a PIN or PUK was refused, or is blocked."""
    return sw >> 8 == REFUSED or sw == SW.AUTH_METHOD_BLOCKED


def tries_left(sw: int) -> int | None:
    """How many tries it says are left; None where it does not count, as some cards do not."""
    if sw == SW.AUTH_METHOD_BLOCKED:
        return 0
    left = sw & 0xFF
    return left & 0xF if left & 0xF0 == _IN_FOUR_BITS else left or None


@contextmanager
def _understood() -> Iterator[None]:
    """Around libraries that take an answer of the token apart without looking at it first.

    What they trip over there is the token's. Raises `BadResponseError`.
    """
    try:
        yield
    except (InvalidPinError, NotSupportedError):  # the maker's, which are ValueErrors too
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BadResponseError(f"an answer that makes no sense: {type(error).__name__}") from error


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Run library calls; raise ours instead of theirs. `doing` stands in the message."""
    try:
        with _understood():
            yield
    except InvalidPinError as error:
        raise refused(doing, error.attempts_remaining) from error
    except ApduError as error:
        raise _from_sw(doing, error.sw) from error
    except (NotSupportedError, ApplicationNotAvailableError) as error:
        raise NotSupported(
            f"{doing}: this token cannot do it", remedy="Use another token or another profile."
        ) from error
    except CommandRejectedError as error:
        raise AuthenticationFailed(
            f"{doing}: the token refused the write (protected by an access code?)",
            remedy="Remove the access code with the tool that set it, or use another token.",
        ) from error
    except YubikitTimeout as error:
        raise TouchTimeout(
            f"{doing}: nobody touched the token in time",
            remedy="Run it again and touch the token when it blinks.",
        ) from error
    except CtapError as error:
        raise _from_ctap(doing, error.code) from error
    except (BadResponseError, CommandError) as error:
        raise TokenRefused(
            f"{doing}: the token's answer makes no sense",
            remedy="Insert the token again; if it stays so, set it aside.",
            code=0,
        ) from error


@contextmanager
def generating(slot: int, algorithm: KEY_TYPE) -> Iterator[None]:
    """As `translated`, around GENERATE (SP 800-73-4 part 2, 3.3.2), whose one parameter is that."""
    doing = f"generating a key in {slot:02x}"
    with translated(doing):
        try:
            yield
        except ApduError as error:
            if error.sw != SW.INCORRECT_PARAMETERS:
                raise
            raise NotSupported(
                f"{doing}: this token makes no key of {algorithm.name.lower()} (SW {error.sw:04X})",
                remedy="Write another algorithm in the profile, or use another token.",
            ) from error


def refused(doing: str, retries_left: int | None) -> AuthenticationFailed:
    """A PIN or PUK was refused, with that many tries left (None where the token does not say)."""
    if retries_left == 0:
        return AuthenticationBlocked(
            f"{doing}: refused, and no tries are left",
            remedy="Unblock it with the PUK from escrow, or set the token aside.",
            retries_left=0,
        )
    tries = "" if retries_left is None else f" ({retries_left} tries left)"
    return AuthenticationFailed(
        f"{doing}: refused{tries}",
        remedy="The token holds a value that is not ours; it is not tried again.",
        retries_left=retries_left,
    )


def _from_sw(doing: str, sw: int) -> Exception:
    if counts_tries(sw):
        return refused(doing, tries_left(sw))
    match sw:
        case SW.SECURITY_CONDITION_NOT_SATISFIED:
            return TokenReset(
                f"{doing}: the token asks for its PIN, key or a touch (SW {sw:04X})",
                remedy="If it was not touched in time or another program reset it, run it again.",
            )
        case SW.NO_SPACE | SW.MEMORY_FAILURE:
            return TokenRefused(
                f"{doing}: the token is full or its memory failed (SW {sw:04X})",
                remedy="Remove what is on it, or set the token aside.",
                code=sw,
            )
    if is_missing(sw) or is_absent(sw):
        return NotSupported(
            f"{doing}: this token cannot do it (SW {sw:04X})",
            remedy="Use another token or another profile.",
        )
    return TokenRefused(
        f"{doing}: the token refused (SW {sw:04X})",
        remedy="Insert the token again; if it stays so, set it aside.",
        code=sw,
    )


def _from_ctap(doing: str, code: int) -> Exception:
    errors = CtapError.ERR
    match code:
        case errors.PIN_INVALID:
            return refused(doing, None)
        case errors.PIN_BLOCKED:
            return refused(doing, 0)
        case errors.PIN_AUTH_BLOCKED:
            return AuthenticationBlocked(
                f"{doing}: the token wants to be re-inserted before another try",
                remedy="Take the token out and insert it again. Do not try another PIN.",
            )
        case errors.USER_ACTION_TIMEOUT | errors.ACTION_TIMEOUT | errors.OPERATION_DENIED:
            return TouchTimeout(
                f"{doing}: nobody touched the token in time",
                remedy="Run it again and touch the token when it blinks.",
            )
        case errors.KEY_STORE_FULL:
            return TokenRefused(
                f"{doing}: no room for another discoverable credential",
                remedy="Remove credentials from it, or use another token.",
                code=int(code),
            )
        case errors.PIN_POLICY_VIOLATION:
            return TokenRefused(
                f"{doing}: the token's PIN policy refuses it (its least length, its complexity, or"
                " a change of the PIN that it waits for)",
                remedy="Compare the profile's PIN with what token show says of this one.",
                code=int(code),
            )
        case errors.PIN_NOT_SET | errors.PUAT_REQUIRED:
            return TokenRefused(
                f"{doing}: the token wants a PIN for it (CTAP 0x{int(code):02X})",
                remedy="Set a PIN in the profile's [fido2].",
                code=int(code),
            )
        case errors.NOT_ALLOWED:
            return TokenRefused(
                f"{doing}: the token does not allow it now",
                remedy="For a reset, insert the token again and touch it within seconds.",
                code=int(code),
            )
        case errors.OTHER:
            return TokenRefused(
                f"{doing}: the token refused and does not say why",
                remedy="Insert the token again, touch it when it blinks, and run it again; if it"
                " stays so, set it aside.",
                code=int(code),
            )
        case (
            errors.INVALID_COMMAND
            | errors.INVALID_SUBCOMMAND
            | errors.UNSUPPORTED_OPTION
            | errors.UNSUPPORTED_ALGORITHM
        ):
            return NotSupported(
                f"{doing}: this token cannot do it (CTAP 0x{code:02X})",
                remedy="Use another token or another profile.",
            )
    return TokenRefused(
        f"{doing}: the token refused (CTAP 0x{int(code):02X})",
        remedy="Insert the token again; if it stays so, set it aside.",
        code=int(code),
    )
