"""What a firmware cannot do of a profile's [hsmauth] (the maker's "YubiHSM Auth" pages)."""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.hsmauth import HsmAuthAlgorithm
from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, needs

HSMAUTH_SINCE = (5, 4, 3)
CURVE_SINCE = (5, 6, 0)


def hsmauth_limits(profile: Profile, version: Version) -> Iterator[Limit]:
    """What this firmware lacks."""
    section = profile.hsmauth
    if section is None:
        return
    if version < HSMAUTH_SINCE:
        yield Limit(
            key="hsmauth",
            message="YubiHSM Auth needs firmware 5.4.3, this token has "
            f"{'.'.join(map(str, version))}",
            remedy="Use a profile without [hsmauth], or insert a token with firmware 5.4.3 or"
            " later.",
        )
        return
    for index, credential in enumerate(section.credentials):
        if credential.algorithm is HsmAuthAlgorithm.ECCP256:
            yield from needs(
                f"hsmauth.credentials[{index}].algorithm",
                "a credential for eccp256",
                CURVE_SINCE,
                version,
                'Write "aes128"',
            )
