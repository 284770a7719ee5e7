"""What one token can do of a profile, by its kind and firmware, before it is touched.

Sources: Yubico's technical manual ("Firmware Overview", "5.7 Firmware Specifics" for Ed25519,
X25519, RSA 3072 and 4096 and the forced PIN change) and YSA-2017-01 (RSA keys).
What a token says of itself (CTAP's setMinPINLength, its algorithms) still has the last word when
it is written: a newer or another firmware may lack what it should have.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.errors import Problem, ProfileError
from tokenprov.model import TokenKind
from tokenprov.profile.device_limits import device_limits, secure_channel_limits
from tokenprov.profile.fido2_limits import fido2_limits
from tokenprov.profile.fips_limits import fips_target_limits
from tokenprov.profile.fitting import Fitted, fit
from tokenprov.profile.hsmauth_limits import hsmauth_limits
from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, if_supported, needs, piv_keys
from tokenprov.profile.oath_limits import oath_limits
from tokenprov.profile.openpgp_limits import openpgp_limits
from tokenprov.profile.otp_limits import otp_limits
from tokenprov.profile.piv import (
    Algorithm,
    Attestation,
    ManagementKeyAlgorithm,
    PinPolicy,
    TouchPolicy,
)
from tokenprov.profile.piv_limits import piv_limits
from tokenprov.profile.variants import card_limits, fips_limits

POLICIES_SINCE = (4, 0, 0)
P384_SINCE = (4, 0, 0)
CACHED_TOUCH_SINCE = (4, 3, 0)
ATTESTATION_SINCE = (4, 3, 0)
AES_MANAGEMENT_KEY_SINCE = (5, 4, 0)
NEW_ALGORITHMS_SINCE = (5, 7, 0)
YUBIKEY_4_FIPS = ((4, 4, 0), (4, 5, 0))  # a firmware of the FIPS series alone
ROCA = ((4, 2, 0), (4, 3, 5))  # from, and first one mended

_SINCE = {
    Algorithm.ECCP384: P384_SINCE,
    Algorithm.RSA3072: NEW_ALGORITHMS_SINCE,
    Algorithm.RSA4096: NEW_ALGORITHMS_SINCE,
    Algorithm.ED25519: NEW_ALGORITHMS_SINCE,
    Algorithm.X25519: NEW_ALGORITHMS_SINCE,
}
_RSA = frozenset((Algorithm.RSA2048, Algorithm.RSA3072, Algorithm.RSA4096))


def check_firmware(
    profile: Profile,
    version: Version | None,
    kind: TokenKind = TokenKind.YUBIKEY,
    *,
    fips: bool = False,
) -> list[str]:
    """What of the profile will be left out on such a token, in words; [] if nothing.

    `version` is None where it is unknown: then nothing is refused for the firmware's sake.
    Raises ProfileError, which names each key, the firmware that it needs and the remedy.
    """
    fitted = fit_to(profile, version, kind, fips=fips)
    problems = [
        Problem(line=0, field=limit.key, message=limit.message, remedy=limit.remedy)
        for limit in fitted.limits
        if not limit.left_out
    ]
    if problems:
        raise ProfileError.of_file(profile.name, tuple(problems), len(problems))
    return [
        *(f"{one.setting}: {one.reason}" for one in fitted.left_out),
        *(f"{limit.key}: {limit.message}" for limit in fitted.limits),
    ]


def fit_to(
    profile: Profile,
    version: Version | None,
    kind: TokenKind = TokenKind.YUBIKEY,
    *,
    fips: bool = False,
) -> Fitted:
    """As much of the profile as such a token can take; refuses nothing."""
    return fit(profile, lambda smaller: tuple(_limits(smaller, version, kind, fips)))


def _limits(
    profile: Profile, version: Version | None, kind: TokenKind, fips: bool
) -> Iterator[Limit]:
    if (profile.pkcs11 is None) is (kind is TokenKind.PKCS11):
        yield Limit(
            key="pkcs11",
            message="a token is reached through a PKCS#11 module by a profile with [pkcs11], and by"
            " no other",
            remedy="Use a profile of the other kind for it.",
        )
    if kind is TokenKind.PKCS11:
        return  # and [pkcs11] stands alone
    missing: tuple[str, ...] = {
        TokenKind.YUBIKEY: (),
        TokenKind.SECURITY_KEY: ("piv", "otp", "oath", "openpgp", "hsmauth"),
        TokenKind.PIV_CARD: (
            *("device", "secure_channel", "otp", "fido2", "oath", "openpgp", "hsmauth", "fips"),
        ),
    }[kind]
    called = {
        TokenKind.YUBIKEY: "YubiKey",
        TokenKind.SECURITY_KEY: "Security Key",
        TokenKind.PIV_CARD: "PIV card of another maker",
    }[kind]
    for applet in missing:
        if getattr(profile, applet) is not None:
            section = applet.replace("_", "-")
            yield Limit(
                key=section,
                message=f"a {called} has no such applet",
                remedy=f"Use a profile without [{section}], or insert a YubiKey.",
            )
    if kind is TokenKind.PIV_CARD:
        yield from card_limits(profile)
        return
    if version is not None:
        yield from device_limits(profile, version)
        yield from secure_channel_limits(profile, version)
        if kind is TokenKind.YUBIKEY:
            yield from _piv(profile, version)
            yield from piv_limits(profile, version)
            yield from otp_limits(profile, version)
            yield from oath_limits(profile, version)
            yield from openpgp_limits(profile, version, fips=fips)
            yield from hsmauth_limits(profile, version)
        yield from fido2_limits(profile, version)
    yield from fips_target_limits(profile, version, fips=fips)
    if fips or (version is not None and YUBIKEY_4_FIPS[0] <= version < YUBIKEY_4_FIPS[1]):
        yield from fips_limits(profile, version)


def _piv(profile: Profile, version: Version) -> Iterator[Limit]:
    if profile.piv is None:
        return
    algorithm = profile.piv.management_key.algorithm
    if algorithm not in (ManagementKeyAlgorithm.AUTO, ManagementKeyAlgorithm.TDES):
        yield from needs(
            "piv.management-key.algorithm",
            f"a management key for {algorithm}",
            AES_MANAGEMENT_KEY_SINCE,
            version,
            'Write "auto"',
        )
    for path, key in piv_keys(profile):
        yield from needs(
            f"{path}.algorithm",
            f"a key for {key.algorithm}",
            _SINCE.get(key.algorithm, (0, 0, 0)),
            version,
            'Write "eccp256" or "rsa2048"',
        )
        if key.algorithm in _RSA and ROCA[0] <= version < ROCA[1]:
            yield Limit(
                key=f"{path}.algorithm",
                message="firmware 4.2.0 to 4.3.4 makes RSA keys that can be factored (YSA-2017-01)",
                remedy='Write "eccp256", or insert a token with firmware 4.3.5 or later.',
            )
        if key.pin_policy is not PinPolicy.DEFAULT:
            yield from needs(
                f"{path}.pin-policy", "a PIN policy", POLICIES_SINCE, version, 'Write "default"'
            )
        if key.touch_policy is TouchPolicy.CACHED:
            yield from needs(
                f"{path}.touch-policy",
                "a cached touch",
                CACHED_TOUCH_SINCE,
                version,
                'Write "always" or "never"',
            )
        elif key.touch_policy is not TouchPolicy.DEFAULT:
            yield from needs(
                f"{path}.touch-policy", "a touch policy", POLICIES_SINCE, version, 'Write "default"'
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
