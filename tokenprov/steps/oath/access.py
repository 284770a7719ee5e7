"""Getting at the accounts: a token at work has no password, or the journalled one.

No tries are counted, so trying costs nothing.
"""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed, TokenConflict
from tokenprov.model import SecretKind
from tokenprov.token import OathApplet, Token


def unlocked(token: Token) -> OathApplet:
    """OATH, with its password given. Raises `TokenConflict` where that is not ours."""
    oath = token.oath()
    if not oath.locked:
        return oath
    held = token.keyring.get(SecretKind.OATH_PASSWORD)
    if held is not None:
        try:
            oath.unlock(held.reveal_text())
        except AuthenticationFailed:
            held = None
    if held is None:
        raise TokenConflict(
            f"token {token.id.label}: its OATH application has a password that is not ours",
            remedy="Use another token; this one is somebody's.",
        )
    return oath
