"""What is on the PIV applet."""

from __future__ import annotations

from cryptography import x509
from yubikit.piv import OBJECT_ID, SLOT

from tokenprov.errors import NotSupported
from tokenprov.inventory.known import known
from tokenprov.model import Json
from tokenprov.token import PivApplet, Token, Tries

PIV_SLOTS = (SLOT.AUTHENTICATION, SLOT.SIGNATURE, SLOT.KEY_MANAGEMENT, SLOT.CARD_AUTH)
# Somebody's old decryption keys: lost with the PIN that we would set (SP 800-73-4 part 1, 3.3.4)
RETIRED_SLOTS = tuple(slot for slot in SLOT if SLOT.RETIRED1 <= slot <= SLOT.RETIRED20)


def piv_inventory(token: Token, used: list[str]) -> Json:
    """Keys and certificates of the four slots, retired keys, tries, what is still the factory's."""
    piv = token.piv()
    slots: dict[str, Json] = {}
    for slot in PIV_SLOTS:
        key, certificate = _key(piv, slot), piv.certificate(slot)
        slots[f"{slot:02x}"] = {"key": key, "certificate": certificate is not None}
        if key:
            used.append(f"slot {slot:02x} holds a key ({key})")
        if certificate is not None:
            slots[f"{slot:02x}"] |= (named := _certificate(certificate))
            whose = f" for {named['subject']}" if named["subject"] else ""
            used.append(f"slot {slot:02x} holds a certificate{whose}")
    for slot in RETIRED_SLOTS:
        key = _key(piv, slot)
        if key:
            slots[f"{slot:02x}"] = {"key": key}
            used.append(f"slot {slot:02x} holds a key ({key})")
    pin, puk = piv.pin_tries(), piv.puk_tries()
    management_key = piv.management_key_is_default()
    factory = {"PIN": pin.is_default, "PUK": puk.is_default, "management key": management_key}
    for what, is_default in factory.items():
        if is_default is False:
            used.append(f"its PIV {what} is not the factory's")
    return {
        "slots": slots,
        "pin": _tries(pin),
        "puk": _tries(puk),
        "managementKey": {
            "algorithm": _management_key_type(piv),
            "factory": known(management_key),
        },
        "defaults": {
            "left": [what for what, is_default in factory.items() if is_default],
            "unknown": [what for what, is_default in factory.items() if is_default is None],
        },
        "chuid": piv.object(OBJECT_ID.CHUID) is not None,
        "ccc": piv.object(OBJECT_ID.CAPABILITY) is not None,
        "fingerprints": piv.has_fingerprints(),
    }


def _management_key_type(piv: PivApplet) -> str:
    """Its algorithm; "unknown" on a card that answers to none."""
    try:
        return piv.management_key_type.name.lower()
    except NotSupported:
        return "unknown"


def _certificate(der: bytes) -> dict[str, str]:
    """Whom it is for and until when; empty where it cannot be parsed."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        return {
            "subject": certificate.subject.rfc4514_string(),
            "notAfter": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        }
    except ValueError:
        return {"subject": "", "notAfter": ""}


def _key(piv: PivApplet, slot: SLOT) -> str | None:
    """The algorithm of the key in a slot, "unknown" for one that cannot be read."""
    try:
        key = piv.key(slot)
    except NotSupported:
        return "unknown"
    return key.algorithm.name.lower() if key else None


def _tries(tries: Tries) -> Json:
    return {
        "left": known(tries.remaining),
        "of": known(tries.total),
        "factory": known(tries.is_default),
    }
