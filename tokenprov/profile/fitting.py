"""As much of a profile as one token can take.

What the profile lists under `if-supported` goes where the token cannot have it, the innermost that
is listed; all else that the token cannot do stays refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit
from tokenprov.profile.optional import KEY
from tokenprov.profile.paths import Path, find, within, without


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A setting that a token does not get, and why."""

    setting: str  # its path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What of a profile a token gets, what is left out of it, and what it cannot do even so.

    Of the limits, those that say `left_out` are for a step to leave out.
    """

    profile: Profile
    left_out: tuple[LeftOut, ...]
    limits: tuple[Limit, ...]


def fit(profile: Profile, limits_of: Callable[[Profile], Sequence[Limit]]) -> Fitted:
    """The profile for a token with these limits."""
    paths = sorted(profile.if_supported, key=len, reverse=True)
    left_out: list[LeftOut] = []
    while True:
        limits = tuple(limits_of(profile))
        smaller = _smaller(profile, limits, paths) if paths else None
        if smaller is None:
            return Fitted(profile=profile, left_out=tuple(left_out), limits=limits)
        profile, one = smaller
        left_out.append(one)


def _smaller(
    profile: Profile, limits: Sequence[Limit], paths: Sequence[str]
) -> tuple[Profile, LeftOut] | None:
    """The profile without the first setting that is refused and may go."""
    document = {key: value for key, value in profile.to_json().items() if key != KEY}
    for limit in limits:
        for text in paths if not limit.left_out else ():
            place = find(document, text)
            if place is None or not within(document, limit.key, place):
                continue
            smaller = _valid(document, place)
            if smaller is not None:
                return smaller, LeftOut(setting=text, reason=limit.message)
    return None


def _valid(document: dict[str, object], place: Path) -> Profile | None:
    """The profile without what is at that place, if it is one and another than before."""
    bare = without(document, place)
    try:
        smaller = Profile.model_validate(bare, by_alias=True, by_name=False)
    except ValidationError:
        return None  # nothing would remain of it
    return smaller if smaller.to_json() != document else None
