"""What is on a token now, for people and for the decision that it is nobody's.

Reads only, and no probe that costs a try. What the firmware cannot tell is "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass

from yubikit.piv import OBJECT_ID, SLOT

from tokenprov.errors import NotSupported
from tokenprov.model import Json
from tokenprov.token import Token, Tries

PIV_SLOTS = (SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.KEY_MANAGEMENT, SLOT.CARD_AUTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """`facts` by applet; `used` says in words what somebody put there."""

    facts: dict[str, Json]
    used: tuple[str, ...]


def take_inventory(token: Token) -> Inventory:
    """Look at every applet that the token has. Raises a `TokenError` when it cannot be read."""
    facts: dict[str, Json] = {}
    used: list[str] = []
    for name, look in (("piv", _piv), ("otp", _otp), ("fido2", _fido2)):
        try:
            facts[name] = look(token, used)
        except NotSupported as error:
            facts[name] = {"unavailable": error.message}
    return Inventory(facts=facts, used=tuple(used))


def _piv(token: Token, used: list[str]) -> Json:
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
            "factory": _known(management_key),
        },
        "chuid": piv.object(OBJECT_ID.CHUID) is not None,
        "ccc": piv.object(OBJECT_ID.CAPABILITY) is not None,
    }


def _tries(tries: Tries) -> Json:
    return {
        "left": _known(tries.remaining),
        "of": _known(tries.total),
        "factory": _known(tries.is_default),
    }


def _known(value: Json) -> Json:
    return "unknown" if value is None else value


def _otp(token: Token, used: list[str]) -> Json:
    otp = token.otp()
    slots: dict[str, Json] = {}
    for slot in (1, 2):
        configured = otp.configured(slot)
        slots[str(slot)] = {"configured": configured}
        if configured:
            slots[str(slot)]["byTouch"] = otp.touch_triggered(slot)
    if slots["2"]["configured"]:  # slot 1 is configured at the factory
        used.append("OTP slot 2 holds a credential")
    return {"slots": slots}


def _fido2(token: Token, used: list[str]) -> Json:
    info = token.fido2().info
    has_pin = bool(info.options.get("clientPin"))
    if has_pin:
        used.append("it has a FIDO2 PIN")
    return {
        "versions": list(info.versions),
        "aaguid": str(info.aaguid),
        "pin": has_pin,
        "pinChangeForced": bool(info.force_pin_change),
        "roomForCredentials": _known(info.remaining_disc_creds),
    }
