"""Which tokens have an approved mode that can be read back.

Source: Yubico's technical manual, "YubiKey 5 FIPS Series Specifics": from firmware 5.7 on a token
of the FIPS series says itself which of its applications are in approved mode.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, needs

APPROVED_MODE_SINCE = (5, 7, 0)


def fips_target_limits(profile: Profile, version: Version | None, *, fips: bool) -> Iterator[Limit]:
    """Approved mode is of the FIPS series, and told from firmware 5.7 on."""
    if profile.fips is None:
        return
    if not fips:
        yield Limit(
            key="fips.approved",
            message="this token is not of the FIPS series: it has no approved mode",
            remedy="Insert a YubiKey of the FIPS series, or use a profile without [fips].",
        )
    elif version is not None:
        yield from needs(
            "fips.approved",
            "an approved mode that can be read back",
            APPROVED_MODE_SINCE,
            version,
            "Use a profile without [fips]",
        )
