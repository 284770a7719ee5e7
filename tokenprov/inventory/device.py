"""What the device configuration of a token says: what is off, and who may change that."""

from __future__ import annotations

from yubikit.core import TRANSPORT
from yubikit.core.smartcard.scp import ScpKid
from yubikit.management import CAPABILITY, DEVICE_FLAG

from tokenprov.errors import NotSupported
from tokenprov.inventory.known import known
from tokenprov.model import Json
from tokenprov.token import Token
from tokenprov.token.security_domain import FACTORY_SET

CHANNELS_SINCE = (5, 3, 0)  # firmware; without SCP03 there is no security domain


def device_inventory(token: Token, used: list[str]) -> Json:
    """Applications by transport, timeouts, lock code, keys of secure channels.

    A lock code tells that it is somebody's. Applications that are off do not, and what is on them
    cannot be seen: a profile that sets them is refused.
    """
    info = token.management().info
    if info.is_locked:
        used.append("its device configuration is behind a lock code")
    config = info.config
    flags = config.device_flags or DEVICE_FLAG(0)
    facts: dict[str, Json] = {
        "off": {
            transport.value: _named(supported & ~config.enabled_capabilities[transport])
            if transport in config.enabled_capabilities
            else "unknown"  # firmware 4 does not say
            for transport, supported in info.supported_capabilities.items()
        },
        "lockCode": info.is_locked,
        "touchEject": bool(flags & DEVICE_FLAG.EJECT),
        "autoEjectTimeout": known(config.auto_eject_timeout),
        "challengeResponseTimeout": known(config.challenge_response_timeout),
    }
    if TRANSPORT.NFC in info.supported_capabilities:
        facts["nfcRestricted"] = bool(config.nfc_restricted)
    if info.is_fips:
        facts["fipsApproved"] = _named(info.fips_approved) if info.fips_capable else "unknown"
    if info.version >= CHANNELS_SINCE:
        facts["scp03Keys"] = _scp03_keys(token)
    return facts


def _scp03_keys(token: Token) -> str:
    """Whose the keys for secure channels are: "factory", "changed", "none" or "unknown"."""
    try:
        keys = token.security_domain().key_references()
    except NotSupported:
        return "unknown"
    versions = {key.version for key in keys if key.id == ScpKid.SCP03}
    if not versions:
        return "none"
    return "factory" if versions == {FACTORY_SET} else "changed"


def _named(bits: CAPABILITY) -> list[str]:
    return [one.name.lower() for one in CAPABILITY if one.name and one & bits]
