"""What is in the OATH applet, as far as it tells without its password."""

from __future__ import annotations

from tokenprov.model import Json
from tokenprov.token import Token


def oath_inventory(token: Token, used: list[str]) -> Json:
    """Whether it has a password, and how many accounts; a password hides them."""
    oath = token.oath()
    if oath.locked:
        used.append("its OATH application has a password")
        return {"password": True, "accounts": "unknown"}
    accounts = len(oath.accounts())
    if accounts:
        used.append(f"it holds {accounts} OATH account{'s' if accounts > 1 else ''}")
    return {"password": oath.has_password, "accounts": accounts}
