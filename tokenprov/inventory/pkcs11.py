"""What is on a token behind a PKCS#11 module, as far as it shows without a PIN."""

from __future__ import annotations

from tokenprov.model import Json
from tokenprov.token import Token

_WORDS = {
    "CERTIFICATE": "a certificate",
    "PUBLIC_KEY": "a public key",
    "PRIVATE_KEY": "a private key",
    "SECRET_KEY": "a secret key",
    "DATA": "data",
}
_OF_THE_MODULE = frozenset({"PROFILE", "HW_FEATURE", "MECHANISM"})  # 4.3 to 4.5: not put there
_LOCKED = {  # CK_TOKEN_INFO.flags; of a blank token they mean nothing
    "USER_PIN_LOCKED": "its user PIN is locked: whoever has its SO PIN can set it anew",
    "SO_PIN_LOCKED": "its SO PIN is locked: nothing can be set on it any more",
}


def pkcs11_inventory(token: Token, used: list[str]) -> Json:
    """Its label, which PINs there are, what is locked, and every object.

    A user PIN tells that it is somebody's, and so does an object.
    """
    applet = token.pkcs11()
    info = applet.info()
    objects: list[Json] = []
    if info.initialised:
        for one in applet.objects().objects:
            if one.kind in _OF_THE_MODULE:
                continue
            objects.append({"kind": one.kind.lower(), "label": one.label, "id": one.id.hex()})
            what = _WORDS.get(one.kind, "an object")
            used.append(f"it holds {what} called {one.label or one.id.hex() or 'nothing'!r}")
        if info.has_pin:
            used.append("it has a user PIN")
        used += [text for flag, text in _LOCKED.items() if flag in info.flags]
    return {
        "label": info.label,
        "initialised": info.initialised,
        "userPin": info.has_pin,
        "locked": [flag.lower() for flag in _LOCKED if info.initialised and flag in info.flags],
        "objects": objects,
    }
