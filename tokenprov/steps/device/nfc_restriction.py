"""NFC switched off until the token gets its power over USB for the first time.

The token lifts the restriction by itself with that power, so it is set after everything that
restarts the token; one that was pulled in the meantime gets it again.
"""

from __future__ import annotations

from yubikit.core import TRANSPORT
from yubikit.management import DeviceConfig

from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.device.access import LOCKED, held_lock_code
from tokenprov.token import Token


class NfcRestrictionStep:
    """NFC is restricted."""

    id = "device/nfc-restricted"
    title = "NFC restriction"

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By the device information."""
        management = token.management()
        if not management.info.has_transport(TRANSPORT.NFC):
            return Finding(state=State.SKIPPED, reason="the token has no NFC")
        if management.transport is TRANSPORT.NFC:
            return Finding(
                state=State.CONFLICT,
                reason="the station works over NFC, which it would not reach any more",
            )
        if management.info.config.nfc_restricted:
            return Finding(state=State.MATCH, facts={"nfcRestricted": True})
        if intent is None and management.info.is_locked:
            return LOCKED
        return Finding(state=State.ABSENT)

    def apply(self, token: Token, intent: Intent) -> None:
        """One write."""
        token.management().write(DeviceConfig(nfc_restricted=True), lock_code=held_lock_code(token))
