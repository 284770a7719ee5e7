"""The lock code, where the device configuration is behind one."""

from __future__ import annotations

from tokenprov.model import SecretKind
from tokenprov.secret import Secret
from tokenprov.step import Finding, State
from tokenprov.token import Token

LOCKED = Finding(
    state=State.CONFLICT, reason="its device configuration is behind a lock code that is not ours"
)


def held_lock_code(token: Token) -> Secret | None:
    """Our lock code, where the token has one; None where it has none."""
    if not token.management().info.is_locked:
        return None
    return token.keyring.get(SecretKind.LOCK_CODE)
