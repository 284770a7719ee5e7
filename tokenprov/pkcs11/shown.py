"""What the objects of a module show of themselves, in the worker's process, as text and numbers."""

from __future__ import annotations

from typing import Any

from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.exceptions import PKCS11Error

_SAFE = (  # attributes that say whether a private key can leave its token
    *(Attribute.SENSITIVE, Attribute.EXTRACTABLE, Attribute.LOCAL),
    *(Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE),
)
_PUBLIC = {  # what makes up a public key
    KeyType.RSA: (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT),
    KeyType.EC: (Attribute.EC_PARAMS, Attribute.EC_POINT),
    KeyType.EC_EDWARDS: (Attribute.EC_PARAMS, Attribute.EC_POINT),
}


def shown(one: Any) -> dict[str, Any]:
    """An object by its kind, label and id, and what else such a one shows."""
    seen: dict[str, Any] = {"kind": _name(one, Attribute.CLASS)}
    for key, attribute in (("label", Attribute.LABEL), ("id", Attribute.ID)):
        value = read(one, attribute)
        seen[key] = value.hex() if isinstance(value, bytes) else value or ""
    if seen["kind"] == ObjectClass.CERTIFICATE.name:
        seen["value"] = bytes(read(one, Attribute.VALUE) or b"").hex()
    elif seen["kind"] == ObjectClass.PUBLIC_KEY.name:
        seen["public"] = public_parts(one)
    elif seen["kind"] == ObjectClass.PRIVATE_KEY.name:
        seen["type"] = _name(one, Attribute.KEY_TYPE)
        seen["safe"] = {a.name.lower(): read(one, a) for a in _SAFE}
    return seen


def public_parts(key: Any) -> dict[str, Any]:
    """What makes up a public key, in hex."""
    kind = key[Attribute.KEY_TYPE]
    parts = {a.name.lower(): bytes(key[a]).hex() for a in _PUBLIC.get(kind, ())}
    return {"type": getattr(kind, "name", str(kind)), **parts}


def read(one: Any, attribute: Attribute) -> Any:
    """An attribute; None where this object or module has it not."""
    try:
        return one[attribute]
    except (PKCS11Error, NotImplementedError, ValueError):
        return None


def _name(one: Any, attribute: Attribute) -> str:
    value = read(one, attribute)
    return str(getattr(value, "name", value))


def text(value: str | bytes) -> str:
    """Without what it is filled up with."""
    decoded = value.decode(errors="replace") if isinstance(value, bytes) else value
    return decoded.rstrip(" \0")
