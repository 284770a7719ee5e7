"""Limits of tokens that are not plain YubiKeys: the FIPS series, and cards of other makers.

Sources: Yubico's technical manual, "FIPS Version Changes and Requirements Comparison" (140-3: PINs
of eight characters), and SP 800-73-4 with SP 800-78-5 for cards.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, piv_keys
from tokenprov.profile.piv import (
    RETIRED_SLOTS,
    Algorithm,
    Attestation,
    ManagementKeyAlgorithm,
    Origin,
    PinPolicy,
)

FIPS_140_3_SINCE = (5, 7, 0)  # the FIPS series on 5.4 is validated to 140-2
FIPS_140_3_PIN = 8  # characters, PIV and FIDO2

WITHOUT_PIN = "9e"  # the slot whose default policy is never (SP 800-73-4 part 1, table 5)

_STANDARD_ALGORITHMS = frozenset(  # SP 800-78-5 table 3-1
    (Algorithm.RSA2048, Algorithm.RSA3072, Algorithm.ECCP256, Algorithm.ECCP384)
)


def fips_limits(profile: Profile, version: Version | None) -> Iterator[Limit]:
    """What the FIPS series refuses; lengths only where the firmware is known to be 140-3."""
    for path, key in piv_keys(profile):
        if key.algorithm is Algorithm.X25519:
            yield Limit(
                key=f"{path}.algorithm",
                message="the FIPS series has no x25519",
                remedy='Write "eccp256" or "eccp384".',
            )
        by_default = key.pin_policy is PinPolicy.DEFAULT and key.slot == WITHOUT_PIN
        if key.pin_policy is PinPolicy.NEVER or by_default:
            yield Limit(
                key=f"{path}.pin-policy",
                message="the FIPS series has no key without a PIN"
                + f", as keys in {WITHOUT_PIN} are by default" * by_default,
                remedy='Write "once" or "always".',
            )
    if version is None or version < FIPS_140_3_SINCE:
        return
    if profile.piv is not None:
        if profile.piv.management_key.algorithm is ManagementKeyAlgorithm.TDES:
            yield Limit(
                key="piv.management-key.algorithm",
                message="a FIPS 140-3 token takes no 3DES management key",
                remedy='Write "auto", "aes192" or "aes256".',
            )
        for which, length in (("pin", profile.piv.pin.length), ("puk", profile.piv.puk.length)):
            yield from _fips_length(f"piv.{which}.length", length)
    if profile.fido2 is not None:
        yield from _fips_length("fido2.pin.length", profile.fido2.pin.length)


def _fips_length(key: str, length: int) -> Iterator[Limit]:
    if length < FIPS_140_3_PIN:
        yield Limit(
            key=key,
            message=f"a FIPS 140-3 token wants {FIPS_140_3_PIN} characters, this says {length}",
            remedy=f"Write {FIPS_140_3_PIN}.",
        )


def card_limits(profile: Profile) -> Iterator[Limit]:
    """SP 800-73 has no policies, no attestation, and no command for tries or management key."""
    if profile.piv is None:
        return
    if profile.piv.puk.length != 8:
        yield Limit(
            key="piv.puk.length",
            message="a PIV card's PUK has eight characters (SP 800-73-4 part 2, 2.4.3)",
            remedy="Write 8.",
        )
    for which in ("piv.pin.retries", "piv.puk.retries"):
        yield Limit(
            key=which,
            message="a PIV card keeps the number of tries that its maker set",
            remedy="",
            left_out=True,
        )
    yield Limit(
        key="piv.management-key",
        message="a PIV card keeps the management key that its maker set",
        remedy="",
        left_out=True,
    )
    for path, key in piv_keys(profile):
        if key.slot in RETIRED_SLOTS:
            yield Limit(
                key=f"{path}.slot",
                message="a PIV card makes no key in a retired slot (SP 800-73-4 part 2, 3.3.2)",
                remedy="Use 9a, 9c, 9d or 9e, or insert a YubiKey.",
            )
        if key.origin is Origin.ESCROWED:
            yield Limit(
                key=f"{path}.origin",
                message="SP 800-73-4 has no command to import a key",
                remedy='Write origin = "generated", or insert a YubiKey.',
            )
        if key.algorithm not in _STANDARD_ALGORITHMS:
            yield Limit(
                key=f"{path}.algorithm",
                message=f"{key.algorithm} is not an algorithm of PIV (SP 800-78-5)",
                remedy='Write "eccp256", "eccp384" or "rsa2048".',
            )
        for name, policy in (("pin-policy", key.pin_policy), ("touch-policy", key.touch_policy)):
            if policy != "default":
                yield Limit(
                    key=f"{path}.{name}",
                    message="only YubiKeys have such policies",
                    remedy='Write "default", or insert a YubiKey.',
                )
        yield Limit(
            key=f"{path}.attestation",
            message="a PIV card attests nothing",
            remedy='Write "if-supported", or insert a YubiKey.',
            left_out=key.attestation is Attestation.IF_SUPPORTED,
        )
