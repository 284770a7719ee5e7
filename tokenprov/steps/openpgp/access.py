"""Getting the rights that OpenPGP writes need, with the values that the token can hold by now.

The card never says whether a PIN is the factory's. The journalled one is tried first, then the
factory's, and no try is spent of the last two; a right one brings all its tries back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yubikit.openpgp import DEFAULT_ADMIN_PIN, DEFAULT_USER_PIN

from tokenprov.errors import AuthenticationFailed, TokenConflict
from tokenprov.model import SecretKind
from tokenprov.step import PROBE_RESERVE
from tokenprov.token import Token


def verify_admin(token: Token) -> None:
    """Verify the admin PIN that is in force, unless it is verified.

    Raises `TokenConflict` when neither the journalled nor the factory's can be it.
    """
    openpgp = token.openpgp()
    if openpgp.admin_verified:
        return
    tries = openpgp.state().pw_status.attempts_admin
    candidates = _candidates(token, SecretKind.OPENPGP_ADMIN_PIN, DEFAULT_ADMIN_PIN)
    if first_that_fits(openpgp.verify_admin, candidates, tries)[0] is None:
        raise _nobodys(token, "admin PIN")


def verify_user(token: Token) -> None:
    """Verify the user PIN that is in force, unless it is verified; as `verify_admin`."""
    openpgp = token.openpgp()
    if openpgp.user_verified:
        return
    tries = openpgp.state().pw_status.attempts_user
    candidates = _candidates(token, SecretKind.OPENPGP_USER_PIN, DEFAULT_USER_PIN)
    if first_that_fits(openpgp.verify_user, candidates, tries)[0] is None:
        raise _nobodys(token, "user PIN")


def first_that_fits(
    verify: Callable[[str], None], candidates: Sequence[str], tries: int
) -> tuple[str | None, bool]:
    """The first PIN that is taken, and whether all were tried; the last two tries are never."""
    remaining: int | None = tries
    for pin in candidates:
        if remaining is not None and remaining <= PROBE_RESERVE:
            return None, False
        try:
            verify(pin)
        except AuthenticationFailed as error:
            remaining = error.retries_left
        else:
            return pin, True
    return None, True


def _candidates(token: Token, kind: SecretKind, factory: str) -> list[str]:
    held = token.keyring.get(kind)
    return [factory] if held is None else [held.reveal_text(), factory]


def _nobodys(token: Token, what: str) -> TokenConflict:
    return TokenConflict(
        f"token {token.id.label}: its OpenPGP {what} is neither the factory's nor ours",
        remedy="Use another token; this one is somebody's.",
    )
