"""What is on a token now, for people and for the decision that it is nobody's.

Reads only, and no probe that costs a try. What the firmware cannot tell is "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenprov.errors import NotSupported
from tokenprov.inventory.device import device_inventory
from tokenprov.inventory.fido2 import fido2_inventory
from tokenprov.inventory.hsmauth import hsmauth_inventory
from tokenprov.inventory.oath import oath_inventory
from tokenprov.inventory.openpgp import openpgp_inventory
from tokenprov.inventory.otp import otp_inventory
from tokenprov.inventory.piv import piv_inventory
from tokenprov.inventory.pkcs11 import pkcs11_inventory
from tokenprov.model import Json, TokenKind
from tokenprov.token import Token

__all__ = ["Inventory", "take_inventory"]

_APPLETS = {
    "device": device_inventory,
    "piv": piv_inventory,
    "fido2": fido2_inventory,
    "oath": oath_inventory,
    "openpgp": openpgp_inventory,
    "hsmauth": hsmauth_inventory,
    "otp": otp_inventory,  # the last, because it is the first to be written: still selected then
}
_ALONE = {  # tokens that have one application and no other
    TokenKind.PIV_CARD: {"piv": piv_inventory},
    TokenKind.PKCS11: {"pkcs11": pkcs11_inventory},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """`facts` by applet; `used` says in words what somebody put there, `contents` so by applet."""

    facts: dict[str, Json]
    used: tuple[str, ...]
    contents: dict[str, tuple[str, ...]]


def take_inventory(token: Token) -> Inventory:
    """Look at every applet that the token has. Raises a `TokenError` when it cannot be read."""
    facts: dict[str, Json] = {}
    contents: dict[str, tuple[str, ...]] = {}
    for name, look in _ALONE.get(token.kind, _APPLETS).items():
        used: list[str] = []
        try:
            facts[name] = look(token, used)
        except NotSupported as error:
            facts[name] = {"unavailable": error.message}
        contents[name] = tuple(used)
    every = tuple(text for texts in contents.values() for text in texts)
    return Inventory(facts=facts, used=every, contents=contents)
