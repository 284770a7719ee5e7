"""What a profile asks of an authenticator, compared with what it says of itself.

Checked on a fresh token before the first PIN is drawn and long before the first touch, by getInfo
(CTAP 2.1, 6.4) alone: the model by its AAGUID, the PIN's length, extensions, and the room for all
credentials together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tokenprov.profile.fido2 import Demand, Fido2Section, Protection
from tokenprov.token import FidoApplet

CRED_PROTECT = "credProtect"  # CTAP 2.1, 12.1
MIN_PIN_LENGTH = "minPinLength"  # 12.4
HMAC_SECRET = "hmac-secret"  # 12.5
PIN_PROTOCOLS = frozenset({1, 2})  # 6.5.6 and 6.5.7
NOT_BY_PIN = "noMcGaPermissionsWithClientPin"  # 6.4: its PIN opens no credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the profile asks for."""

    section: Fido2Section

    def objections(self, fido: FidoApplet) -> Iterator[str]:
        """Why this authenticator cannot be what the profile asks for, in words."""
        info, section = fido.info, self.section
        aaguid = str(info.aaguid)
        if section.aaguids and aaguid not in section.aaguids:
            yield f"its AAGUID {aaguid} is not on the profile's list"
        if "clientPin" not in info.options or PIN_PROTOCOLS.isdisjoint(info.pin_uv_protocols):
            yield "it takes no FIDO2 PIN"
        length = section.pin.length
        if not info.min_pin_length <= length <= info.max_pin_length:
            yield (
                f"it takes FIDO2 PINs of {info.min_pin_length} to {info.max_pin_length} characters,"
                f" and the profile draws {length}"
            )
        if not section.credentials:
            return
        if info.options.get(NOT_BY_PIN):
            yield "it makes credentials by fingerprint alone, and not by its PIN"
        if not info.options.get("rk"):
            yield "it cannot keep discoverable credentials"
        wanted, room = len(section.credentials), info.remaining_disc_creds
        if room is not None and room < wanted:
            yield no_room(room, wanted)
        for extension in (CRED_PROTECT, HMAC_SECRET):
            if extension not in info.extensions and self._requires(extension):
                yield f"it has no {extension} for credentials"

    def _requires(self, extension: str) -> bool:
        if extension == CRED_PROTECT:
            return any(c.protection is not Protection.DEFAULT for c in self.section.credentials)
        return any(c.hmac_secret is Demand.REQUIRED for c in self.section.credentials)


def no_room(room: int, wanted: int) -> str:
    """How many discoverable credentials fit, and how many are to be made."""
    more = f"{room} more discoverable credential{'' if room == 1 else 's'}"
    return f"room for {more} on it, and {wanted} are to be made"
