"""Whether every application that the profile sets is in FIPS approved mode, as the token says.

Nothing is written: approved mode comes of what the other steps set (profile/fips.py says what). A
token that is not in it at the end is not issued.
"""

from __future__ import annotations

from collections.abc import Sequence

from yubikit.management import CAPABILITY

from tokenprov.errors import NotVerified
from tokenprov.profile.device import Application, capabilities
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.token import Token


class ApprovedStep:
    """Approved mode."""

    id = "fips/approved"
    title = "FIPS approved mode"

    def __init__(self, applets: Sequence[Application]) -> None:
        """`applets` are those that the profile sets and that have an approved mode."""
        self._applets = tuple(applets)

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By the device information, read anew: the steps before changed what it says."""
        management = token.management()
        if not management.info.is_fips:
            return Finding(state=State.CONFLICT, reason="it is not of the FIPS series")
        management.refresh()
        info = management.info
        if not info.fips_capable:
            return Finding(state=State.UNKNOWN, reason="it does not say whether it is approved")
        missing = capabilities(self._applets) & ~info.fips_approved
        facts = {
            "approved": _named(info.fips_approved),
            "notApproved": _named(info.fips_capable & ~info.fips_approved),
        }
        if missing:
            return Finding(
                state=State.ABSENT,
                reason=f"not in approved mode: {', '.join(_named(missing))}",
                facts=facts,
            )
        return Finding(state=State.MATCH, facts=facts)

    def apply(self, token: Token, intent: Intent) -> None:
        """Nothing can be written for it: the steps before have, and it should be there."""
        finding = self.observe(token, intent)
        if finding.state is not State.MATCH:
            raise NotVerified(
                f"token {token.id.label}: {finding.reason}, though everything is set for it",
                remedy="Set it aside, and compare its firmware with the maker's FIPS requirements.",
            )


def _named(bits: CAPABILITY) -> list[str]:
    return [str(one) for one in Application if one.capability & bits]
