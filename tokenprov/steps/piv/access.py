"""Getting the rights that PIV writes need, with the values that the token can hold by now.

A token at work holds either the factory's value or the journalled one. Metadata says which;
where it does not, the journalled one is tried first, and no try is spent of the last two. The
management key counts no tries; one that waits for a touch (`Keyring.by_touch`) is prompted for.
"""

from __future__ import annotations

from contextlib import nullcontext

from tokenprov.errors import AuthenticationFailed, TokenConflict, TokenReset, TouchTimeout
from tokenprov.model import SecretKind
from tokenprov.step import PROBE_RESERVE
from tokenprov.token import Token

# The factory's values: Yubico, "YubiKey PIV: admin access"; the standard has none
FACTORY_PIN = "123456"
FACTORY_PUK = "12345678"
FACTORY_MANAGEMENT_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")


def factory_pin(token: Token) -> str:
    """The PIN that the token came with."""
    return token.keyring.published.get(SecretKind.PIV_PIN, FACTORY_PIN)


def factory_puk(token: Token) -> str:
    """The PUK that the token came with."""
    return token.keyring.published.get(SecretKind.PIV_PUK, FACTORY_PUK)


def factory_management_key(token: Token) -> bytes:
    """The published one, as long as the algorithm of this token's wants it."""
    return (FACTORY_MANAGEMENT_KEY * 2)[: token.piv().management_key_type.key_len]


def affordable(remaining: int | None) -> bool:
    """Whether a probe that may fail leaves the last two tries alone."""
    return remaining is None or remaining > PROBE_RESERVE


def verify_pin(token: Token, *, again: bool = False) -> None:
    """Verify the PIN that is in force, unless it is verified. Do it before `authenticate`.

    `again`: even if it is, as a key of policy "always" wants it. Raises `TokenConflict` when
    neither the journalled nor the factory's PIN can be it.
    """
    piv = token.piv()
    if piv.pin_verified and not again:
        return
    tries = piv.pin_tries()
    held = token.keyring.get(SecretKind.PIV_PIN)
    candidates = [held.reveal_text()] if held is not None and tries.is_default is not True else []
    if tries.is_default is not False:
        candidates.append(factory_pin(token))
    remaining = tries.remaining
    for pin in candidates:
        if not affordable(remaining):
            break
        try:
            return piv.verify_pin(pin)
        except AuthenticationFailed as error:
            remaining = error.retries_left
    raise TokenConflict(
        f"token {token.id.label}: its PIN is neither the factory's nor ours",
        remedy="Use another token; this one is somebody's.",
    )


def authenticate(token: Token) -> None:
    """Authenticate with the management key that is in force, unless it is done.

    Raises `TokenConflict` when neither the journalled nor the factory's key can be it.
    """
    piv = token.piv()
    if piv.authenticated:
        return
    is_default = piv.management_key_is_default()
    held = token.keyring.get(SecretKind.PIV_MANAGEMENT_KEY)
    candidates = [held.reveal()] if held is not None and is_default is not True else []
    if is_default is not False:
        candidates.append(factory_management_key(token))
    if any(opens(token, key) for key in candidates):
        return
    if held is not None and _waits_for_touch(token):
        raise not_touched(token)
    raise TokenConflict(
        f"token {token.id.label}: its PIV management key is neither the factory's nor ours",
        remedy="Use another token; this one is somebody's.",
    )


def opens(token: Token, key: bytes) -> bool:
    """Whether this is the management key; it is then authenticated."""
    waits = key != factory_management_key(token) and _waits_for_touch(token)
    with token.touch("use its PIV management key") if waits else nullcontext():
        try:
            token.piv().authenticate(key)
        except AuthenticationFailed:
            return False
    return True


def not_touched(token: Token) -> TouchTimeout:
    """What is said of a management key that was refused and waits for a touch."""
    return TouchTimeout(
        f"token {token.id.label}: its PIV management key was refused, as it is without a touch",
        remedy="Run it again and touch the token when it blinks; if it stays so, set it aside.",
    )


def read_object(token: Token, object_id: int) -> bytes | None:
    """An object that may want the PIN (part 1, table 2); None where there is none.

    That it is absent may be told without a PIN, so that is asked first. Raises `TokenReset` where
    the token shows it to nobody yet (a FIPS one before its approved mode).
    """
    piv = token.piv()
    if not piv.pin_verified:
        try:
            return piv.object(object_id)
        except TokenReset:
            verify_pin(token)
    return piv.object(object_id)


def _waits_for_touch(token: Token) -> bool:
    return SecretKind.PIV_MANAGEMENT_KEY in token.keyring.by_touch
