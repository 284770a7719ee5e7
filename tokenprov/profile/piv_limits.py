"""What firmware a profile's [piv] needs, beside the algorithms and policies of its keys.

Sources: Yubico's technical manual ("PIV: PIN and touch policies", "YubiKey Bio Multi-protocol
Edition") and yubico-piv-tool's list of actions by firmware.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, needs, piv_keys
from tokenprov.profile.piv import PinPolicy

MANAGEMENT_KEY_TOUCH_SINCE = (4, 0, 0)
BIOMETRICS_SINCE = (5, 6, 0)  # and a fingerprint reader, which a step asks the token for


def piv_limits(profile: Profile, version: Version) -> Iterator[Limit]:
    """A touch for the management key, and keys that ask for a fingerprint."""
    if profile.piv is not None and profile.piv.management_key.touch:
        yield from needs(
            "piv.management-key.touch",
            "a management key that waits for a touch",
            MANAGEMENT_KEY_TOUCH_SINCE,
            version,
            "Write touch = false",
        )
    for path, key in piv_keys(profile):
        if key.pin_policy in (PinPolicy.MATCH_ONCE, PinPolicy.MATCH_ALWAYS):
            yield from needs(
                f"{path}.pin-policy",
                "a key that asks for a fingerprint",
                BIOMETRICS_SINCE,
                version,
                'Write pin-policy = "once"',
            )
