"""What is on the FIDO2 authenticator, as far as it tells without a PIN."""

from __future__ import annotations

from tokenprov.inventory.known import known
from tokenprov.model import Json
from tokenprov.token import Token


def fido2_inventory(token: Token, used: list[str]) -> Json:
    """Versions, PIN and its rules, settings, and room for credentials.

    A PIN tells that it is somebody's. Settings do not: some are on
    at the factory (alwaysUv of the FIPS series).
    """
    fido = token.fido2()
    info, options = fido.info, fido.info.options
    has_pin = bool(options.get("clientPin"))
    if has_pin:
        used.append("it has a FIDO2 PIN")
    return {
        "versions": list(info.versions),
        "aaguid": str(info.aaguid),
        "pin": has_pin,
        "pinChangeForced": bool(info.force_pin_change),
        "minimumPinLength": info.min_pin_length,
        "pinComplexity": known(fido.enforces_complexity),
        "alwaysUv": known(options.get("alwaysUv")),
        "enterpriseAttestation": known(options.get("ep")),
        "u2f": fido.u2f,
        "roomForCredentials": known(info.remaining_disc_creds),
    }
