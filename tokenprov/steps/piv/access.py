"""Getting the rights that PIV writes need, with the values that the token can hold by now.

A token at work holds either the factory's value or the journalled one. Metadata says which;
where it does not, the journalled one is tried first, and no try is spent of the last two.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed, TokenConflict
from tokenprov.model import SecretKind
from tokenprov.step import PROBE_RESERVE
from tokenprov.token import Token

# The factory's values: Yubico, "YubiKey PIV: admin access"; the standard has none
FACTORY_PIN = "123456"
FACTORY_PUK = "12345678"
FACTORY_MANAGEMENT_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")


def affordable(remaining: int | None) -> bool:
    """Whether a probe that may fail leaves the last two tries alone."""
    return remaining is None or remaining > PROBE_RESERVE


def verify_pin(token: Token) -> None:
    """Verify the PIN that is in force, unless it is verified. Do it before `authenticate`.

    Raises `TokenConflict` when neither the journalled nor the factory's PIN can be it.
    """
    piv = token.piv()
    if piv.pin_verified:
        return
    tries = piv.pin_tries()
    held = token.keyring.get(SecretKind.PIV_PIN)
    candidates = [held.reveal_text()] if held is not None and tries.is_default is not True else []
    if tries.is_default is not False:
        candidates.append(FACTORY_PIN)
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
        candidates.append(FACTORY_MANAGEMENT_KEY)
    for key in candidates:
        try:
            return piv.authenticate(key)
        except AuthenticationFailed:
            continue
    raise TokenConflict(
        f"token {token.id.label}: its PIV management key is neither the factory's nor ours",
        remedy="Use another token; this one is somebody's.",
    )
