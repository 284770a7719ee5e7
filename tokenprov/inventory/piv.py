"""What is on the PIV applet."""

from __future__ import annotations

from yubikit.piv import OBJECT_ID, SLOT

from tokenprov.errors import NotSupported
from tokenprov.inventory.known import known
from tokenprov.model import Json
from tokenprov.token import Token, Tries

PIV_SLOTS = (SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.KEY_MANAGEMENT, SLOT.CARD_AUTH)


def piv_inventory(token: Token, used: list[str]) -> Json:
    """Keys and certificates of the four slots, tries, and what is still the factory's."""
    piv = token.piv()
    slots: dict[str, Json] = {}
    for slot in PIV_SLOTS:
        found: dict[str, Json] = {}
        slots[f"{slot:02x}"] = found
        try:
            key = piv.key(slot)
            found["key"] = key.algorithm.name.lower() if key else None
        except NotSupported:
            found["key"] = "unknown"
        found["certificate"] = piv.certificate(slot) is not None
        if found["key"]:
            used.append(f"slot {slot:02x} holds a key")
        if found["certificate"]:
            used.append(f"slot {slot:02x} holds a certificate")
    pin, puk = piv.pin_tries(), piv.puk_tries()
    management_key = piv.management_key_is_default()
    for what, is_default in (
        ("PIN", pin.is_default),
        ("PUK", puk.is_default),
        ("management key", management_key),
    ):
        if is_default is False:
            used.append(f"its PIV {what} is not the factory's")
    return {
        "slots": slots,
        "pin": _tries(pin),
        "puk": _tries(puk),
        "managementKey": {
            "algorithm": piv.management_key_type.name.lower(),
            "factory": known(management_key),
        },
        "chuid": piv.object(OBJECT_ID.CHUID) is not None,
        "ccc": piv.object(OBJECT_ID.CAPABILITY) is not None,
    }


def _tries(tries: Tries) -> Json:
    return {
        "left": known(tries.remaining),
        "of": known(tries.total),
        "factory": known(tries.is_default),
    }
