"""What is in the YubiHSM Auth applet."""

from __future__ import annotations

from yubikit.hsmauth import INITIAL_RETRY_COUNTER

from tokenprov.model import Json
from tokenprov.token import Token


def hsmauth_inventory(token: Token, used: list[str]) -> Json:
    """Its credentials, by number, and the management key's tries; whose that is it does not say."""
    hsmauth = token.hsmauth()
    credentials, tries = len(hsmauth.credentials()), hsmauth.management_key_tries()
    if credentials:
        plural = "s" if credentials > 1 else ""
        used.append(f"it holds {credentials} YubiHSM Auth credential{plural}")
    return {
        "credentials": credentials,
        "managementKey": {"left": tries, "of": INITIAL_RETRY_COUNTER, "factory": "unknown"},
    }
