"""What is on the FIDO2 authenticator, as far as it tells without a PIN."""

from __future__ import annotations

from tokenprov.inventory.known import known
from tokenprov.model import Json
from tokenprov.token import Token


def fido2_inventory(token: Token, used: list[str]) -> Json:
    """Versions, PIN, and room for credentials."""
    info = token.fido2().info
    has_pin = bool(info.options.get("clientPin"))
    if has_pin:
        used.append("it has a FIDO2 PIN")
    return {
        "versions": list(info.versions),
        "aaguid": str(info.aaguid),
        "pin": has_pin,
        "pinChangeForced": bool(info.force_pin_change),
        "roomForCredentials": known(info.remaining_disc_creds),
    }
