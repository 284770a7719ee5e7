"""What a firmware cannot do of a profile's [openpgp].

Sources: "YubiKey 5.2 Enhancements to OpenPGP 3.4 Support" (curves, cached touch, attestation), the
maker's library for tries and touch, YSA-2017-01 (RSA keys), Yubico's technical manual for FIPS.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, if_supported, needs
from tokenprov.profile.openpgp import OpenPgpAlgorithm, OpenPgpKey, OpenPgpTouch
from tokenprov.profile.piv import Attestation

TRIES_SINCE = (4, 3, 1)
TOUCH_SINCE = (4, 2, 0)
CURVES_SINCE = (5, 2, 0)
CACHED_TOUCH_SINCE = (5, 2, 1)
ATTESTATION_SINCE = (5, 2, 0)
FIPS_140_3_SINCE = (5, 7, 0)
FIPS_140_3_PIN = 8  # characters
ROCA = ((4, 2, 0), (4, 3, 5))  # from, and first one mended

_NOT_FIPS = frozenset((OpenPgpAlgorithm.SECP256K1, OpenPgpAlgorithm.X25519))
_CACHED = frozenset((OpenPgpTouch.CACHED, OpenPgpTouch.CACHED_FIXED))


def openpgp_limits(profile: Profile, version: Version, *, fips: bool) -> Iterator[Limit]:
    """What this firmware lacks."""
    section = profile.openpgp
    if section is None:
        return
    yield from needs(
        "openpgp.user-pin.retries",
        "a number of tries",
        TRIES_SINCE,
        version,
        "Use a profile without [openpgp]",
    )
    for index, key in enumerate(section.keys):
        yield from _key(f"openpgp.keys[{index}]", key, version)
    if fips and version >= FIPS_140_3_SINCE:
        if section.user_pin.length < FIPS_140_3_PIN:
            yield Limit(
                key="openpgp.user-pin.length",
                message=f"a FIPS 140-3 token wants {FIPS_140_3_PIN} characters",
                remedy=f"Write {FIPS_140_3_PIN}.",
            )
        for index, key in enumerate(section.keys):
            if key.algorithm in _NOT_FIPS:
                yield Limit(
                    key=f"openpgp.keys[{index}].algorithm",
                    message=f"the FIPS series has no {key.algorithm}",
                    remedy='Write "eccp256" or "eccp384".',
                )


def _key(path: str, key: OpenPgpKey, version: Version) -> Iterator[Limit]:
    if not key.algorithm.is_rsa:
        yield from needs(
            f"{path}.algorithm",
            f"a key for {key.algorithm}",
            CURVES_SINCE,
            version,
            'Write "rsa2048" or "rsa4096"',
        )
    elif ROCA[0] <= version < ROCA[1]:
        yield Limit(
            key=f"{path}.algorithm",
            message="firmware 4.2.0 to 4.3.4 makes RSA keys that can be factored (YSA-2017-01)",
            remedy="Insert a token with firmware 4.3.5 or later.",
        )
    if key.touch_policy in _CACHED:
        yield from needs(
            f"{path}.touch-policy",
            "a cached touch",
            CACHED_TOUCH_SINCE,
            version,
            'Write "on" or "off"',
        )
    elif key.touch_policy is not OpenPgpTouch.OFF:
        yield from needs(
            f"{path}.touch-policy", "a touch policy", TOUCH_SINCE, version, 'Write "off"'
        )
    yield from if_supported(
        key.attestation is Attestation.IF_SUPPORTED,
        needs(
            f"{path}.attestation",
            "an attestation",
            ATTESTATION_SINCE,
            version,
            'Write "if-supported"',
        ),
    )
