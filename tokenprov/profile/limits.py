"""What a token cannot do, and how that is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tokenprov.profile.language import Profile
from tokenprov.profile.piv import PivKey

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Something that the token cannot do; `left_out` where the profile says if-supported."""

    key: str
    message: str
    remedy: str
    left_out: bool = False


def needs(key: str, what: str, since: Version, version: Version, instead: str) -> Iterator[Limit]:
    """The limit, if this version is older than the one that has it; `instead` opens the remedy."""
    if version < since:
        needed = ".".join(map(str, since[:2]))
        yield Limit(
            key=key,
            message=f"{what} needs firmware {needed}, this token has {'.'.join(map(str, version))}",
            remedy=f"{instead}, or insert a token with firmware {needed} or later.",
        )


def if_supported(optional: bool, limits: Iterator[Limit]) -> Iterator[Limit]:
    """The same limits, left out rather than refused where the profile says if-supported."""
    for limit in limits:
        yield Limit(key=limit.key, message=limit.message, remedy=limit.remedy, left_out=optional)


def piv_keys(profile: Profile) -> Iterator[tuple[str, PivKey]]:
    """The PIV keys of a profile, each with its path."""
    if profile.piv is not None:
        for index, key in enumerate(profile.piv.keys):
            yield f"piv.keys[{index}]", key
