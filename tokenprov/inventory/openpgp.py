"""What is in the OpenPGP applet, as far as it tells without a PIN."""

from __future__ import annotations

from yubikit.openpgp import KEY_REF, KEY_STATUS

from tokenprov.model import Json
from tokenprov.token import OpenPgpApplet, Token
from tokenprov.token.openpgp import Cardholder, DiscretionaryDataObjects

SLOTS = (KEY_REF.SIG, KEY_REF.DEC, KEY_REF.AUT)


def openpgp_inventory(token: Token, used: list[str]) -> Json:
    """Keys, whose card it is, tries; whether a PIN is the factory's it does not say."""
    openpgp = token.openpgp()
    state = openpgp.state()
    keys: dict[str, Json] = {}
    for slot in SLOTS:
        keys[slot.name.lower()] = there = _holds_key(openpgp, state, slot)
        if there:
            used.append(f"slot {slot.name} of OpenPGP holds a key")
    cardholder = [what.name.lower() for what in Cardholder if openpgp.cardholder(what)]
    if cardholder:
        used.append(f"OpenPGP names its cardholder ({', '.join(cardholder)})")
    status = state.pw_status
    if status.attempts_reset:
        used.append("it has an OpenPGP reset code")
    return {
        "keys": keys,
        "cardholder": cardholder,
        "userPin": {"left": status.attempts_user, "factory": "unknown"},
        "adminPin": {"left": status.attempts_admin, "factory": "unknown"},
        "resetCode": bool(status.attempts_reset),
    }


def _holds_key(openpgp: OpenPgpApplet, state: DiscretionaryDataObjects, slot: KEY_REF) -> bool:
    status = state.key_information.get(slot)
    if status is not None:
        return status is not KEY_STATUS.NONE
    return openpgp.public_key(slot) is not None
