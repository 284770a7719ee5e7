"""What a firmware cannot do of a profile's [oath].

Sources: Yubico's technical manual ("5.7 Firmware Specifics": 64 accounts), and the maker's ykman
for touch, SHA-512 and the names that firmware before 4.3.5 confuses.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, needs
from tokenprov.profile.oath import OathAlgorithm, OathSection

TOUCH_SINCE = (4, 2, 6)
SHA512_SINCE = (4, 3, 1)
MANY_ACCOUNTS_SINCE = (5, 7, 0)
FEW_ACCOUNTS, MANY_ACCOUNTS = 32, 64
YUBIKEY_4_FIPS = ((4, 4, 0), (4, 5, 0))  # has no SHA-512
AFTER_YUBIKEY_4 = (5, 0, 0)
CONFUSES_NAMES = ((4, 0, 1), (4, 3, 5))  # from, and first one mended


def room_for_accounts(version: Version) -> int:
    """How many accounts a token of that firmware holds."""
    return MANY_ACCOUNTS if version >= MANY_ACCOUNTS_SINCE else FEW_ACCOUNTS


def oath_limits(profile: Profile, version: Version) -> Iterator[Limit]:
    """What this firmware lacks."""
    section = profile.oath
    if section is None:
        return
    for index, account in enumerate(section.accounts):
        path = f"oath.accounts[{index}]"
        if account.touch:
            yield from needs(f"{path}.touch", "a touch", TOUCH_SINCE, version, "Write false")
        if account.algorithm is OathAlgorithm.SHA512:
            fips = YUBIKEY_4_FIPS[0] <= version < YUBIKEY_4_FIPS[1]
            yield from needs(
                f"{path}.algorithm",
                "SHA-512",
                AFTER_YUBIKEY_4 if fips else SHA512_SINCE,
                version,
                'Write "sha256"',
            )
    if CONFUSES_NAMES[0] <= version < CONFUSES_NAMES[1]:
        yield from _confused(section)
    room = room_for_accounts(version)
    if len(section.accounts) > room:
        yield Limit(
            key="oath.accounts",
            message=f"{len(section.accounts)} accounts are more than the {room} it holds",
            remedy=f"Keep at most {room}, or insert a token with firmware 5.7 or later.",
        )


def _confused(section: OathSection) -> Iterator[Limit]:
    names = [account.identity.text for account in section.accounts]
    for index, name in enumerate(names):
        if any(other != name and other.startswith(name) for other in names):
            yield Limit(
                key=f"oath.accounts[{index}].name",
                message="firmware before 4.3.5 takes it for another account whose name it begins",
                remedy="Give it another name, or insert a token with firmware 4.3.5 or later.",
            )
