"""What the rules have against tokens that a profile makes, for holders of these groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenprov.policy.language import Policy
from tokenprov.policy.token_rules import Pin
from tokenprov.profile import Profile


def objections(
    policy: Policy, profile: Profile, groups: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """The rules that such a token breaks, and how."""
    if policy.pin is not None:
        yield from (("pin", what) for what in _pins(policy.pin, profile))
    if policy.no_defaults is not None:
        yield from (("no-defaults", what) for what in _defaults(profile))
    if policy.parity is not None:
        for group in groups:
            wanted = policy.parity.groups.get(group)
            if wanted is None:
                continue
            if wanted.profiles and profile.name not in wanted.profiles:
                yield (
                    "parity",
                    f"{profile.name} is not what {group} have: {', '.join(wanted.profiles)}",
                )
            if wanted.phishing_resistant and not is_phishing_resistant(profile):
                yield "parity", f"{profile.name} gives {group} nothing that resists phishing"


def is_phishing_resistant(profile: Profile) -> bool:
    """Whether it makes a passkey, or a key with a certificate (SP 800-63B 3.2.5)."""
    passkeys = profile.fido2 is not None and bool(profile.fido2.credentials)
    return passkeys or bool(profile.certified)


def _pins(rule: Pin, profile: Profile) -> Iterator[str]:
    """By what each application is given; who sets none leaves it to the holder."""
    given: list[tuple[str, int, int]] = []
    if profile.piv is not None:
        given.append(("piv.pin", profile.piv.pin.length, profile.piv.pin.retries))
    if profile.openpgp is not None:
        pin = profile.openpgp.user_pin
        given.append(("openpgp.user-pin", pin.length, pin.retries))
    if profile.fido2 is not None:
        given.append(("fido2.pin", profile.fido2.pin.length, 8))  # CTAP 2.1, 6.5.2.2
    if profile.pkcs11 is not None:
        given.append(("pkcs11.user-pin", profile.pkcs11.user_pin.length, 0))  # its module's own
    for path, length, tries in given:
        if length < rule.length:
            yield f"{path} has {length} characters; {rule.length} are the least"
        if tries > rule.tries:
            yield f"{path} has {tries} tries; {rule.tries} are the most"


def _defaults(profile: Profile) -> Iterator[str]:
    """An OTP slot that anyone may overwrite is as the factory left it; the rest is always set."""
    for slot in ("slot1", "slot2"):
        settings = getattr(profile.otp, slot, None)
        if settings is not None and not getattr(settings, "access_code", True):
            yield f"otp.{slot} has no access code"
