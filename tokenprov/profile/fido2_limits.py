"""What a firmware cannot do of a profile's [fido2].

Sources: Yubico's technical manual ("Firmware Overview"; "5.7 - 5.6 Firmware Specifics", CTAP 2.1
features) for what came when. The token's own getInfo (CTAP 2.1, 6.4) has the last word: steps ask
it before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.fido2 import Demand, Fido2Section, Protection
from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, if_supported, needs

FIDO2_SINCE = (5, 0, 0)
PROTECTION_SINCE = (5, 2, 0)  # credProtect
CTAP_2_1_SINCE = (5, 6, 0)  # the manual's 5.7 chapter "includes 5.6.x"
COMPLEXITY_SINCE = (5, 7, 0)
MANY_CREDENTIALS_SINCE = (5, 7, 0)

FEW_CREDENTIALS = 25
MANY_CREDENTIALS = 100


def fido2_limits(profile: Profile, version: Version) -> Iterator[Limit]:
    """What a token of that firmware cannot do of it."""
    section = profile.fido2
    if section is None:
        return
    if version < FIDO2_SINCE:
        yield from needs("fido2", "FIDO2", FIDO2_SINCE, version, "Use a profile without [fido2]")
        return
    for key, what, demand, since in _demands(section):
        if demand is not Demand.NO:
            yield from if_supported(
                demand is Demand.IF_SUPPORTED,
                needs(f"fido2.{key}", what, since, version, 'Write "if-supported"'),
            )
    for index, credential in enumerate(section.credentials):
        if credential.protection is not Protection.DEFAULT:
            yield from needs(
                f"fido2.credentials[{index}].protection",
                "a protection level",
                PROTECTION_SINCE,
                version,
                'Write "default"',
            )
    room = MANY_CREDENTIALS if version >= MANY_CREDENTIALS_SINCE else FEW_CREDENTIALS
    if len(section.credentials) > room:
        yield Limit(
            key="fido2.credentials",
            message=f"{len(section.credentials)} credentials are more than the {room} it holds",
            remedy=f"Keep at most {room}.",
        )


def _demands(section: Fido2Section) -> Iterator[tuple[str, str, Demand, Version]]:
    """Key, what it is, whether it must be made, and the firmware that has it."""
    change = section.pin.force_change
    yield "pin.force-change", "a forced change of the PIN", change, CTAP_2_1_SINCE
    yield "pin.complexity", "PIN complexity", section.pin.complexity, COMPLEXITY_SINCE
    yield "always-uv", "alwaysUv", section.always_uv, CTAP_2_1_SINCE
    enterprise = section.enterprise_attestation
    yield "enterprise-attestation", "enterprise attestation", enterprise, CTAP_2_1_SINCE
    if section.minimum_pin_length is not None:
        support = section.minimum_pin_length.support
        yield "minimum-pin-length.support", "a minimum PIN length", support, CTAP_2_1_SINCE
